"""Bearer tokens: RFC 7519 JWTs, held against the issuer's keys. Every doubt is a refusal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import jwt
from botocore.exceptions import BotoCoreError, ClientError
from jwt import PyJWK, PyJWKClient, PyJWKSet

from runtime.domain.identity import Identity, Refusal, TokenRefused, identity_of
from runtime.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from runtime.settings import AuthorizerSettings

ALGORITHMS: Final = ("RS256", "ES256")
REQUIRED_CLAIMS: Final = ("sub", "iss", "aud", "exp", "permissions")
MAX_TOKEN_CHARACTERS = 8_192
"""API Gateway passes 10,240 bytes of headers in all; a token above this is no token of ours."""
JWKS_TIMEOUT_SECONDS = 3
MIN_ASK_SECONDS = 10.0
MAX_STALE_SECONDS = 3_600.0

JwksSource = Callable[[], dict[str, Any]]


_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], Refusal], ...]] = (
    (jwt.InvalidSignatureError, Refusal.SIGNATURE),
    (jwt.DecodeError, Refusal.MALFORMED),
    (jwt.ExpiredSignatureError, Refusal.EXPIRED),
    (jwt.ImmatureSignatureError, Refusal.NOT_YET_VALID),
    (jwt.MissingRequiredClaimError, Refusal.MISSING_CLAIM),
    (jwt.InvalidIssuerError, Refusal.ISSUER),
    (jwt.InvalidAudienceError, Refusal.AUDIENCE),
    (jwt.InvalidAlgorithmError, Refusal.ALGORITHM),
    (jwt.InvalidTokenError, Refusal.CLAIMS),
    (jwt.PyJWTError, Refusal.KEYS_UNREADABLE),
)
"""From the special to the general: a bad signature is a DecodeError too."""


class PublicKeys:
    """The issuer's keys by `kid`, read again only when stale: no unknown kid makes us ask."""

    def __init__(
        self,
        source: JwksSource,
        keep_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._keep_seconds = keep_seconds
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._read_at = self._tried_at = float("-inf")

    def key(self, kid: str) -> PyJWK:
        """The public key named `kid`. Raises TokenRefused, also when the issuer cannot be asked.

        An unknown kid may be a new key, so it asks the issuer again, but not more often than every
        MIN_ASK_SECONDS. While the issuer does not answer, the keys already known serve on, for at
        most MAX_STALE_SECONDS.
        """
        now = self._monotonic()
        stale = now - self._read_at >= self._keep_seconds or kid not in self._keys
        if stale and now - self._tried_at >= MIN_ASK_SECONDS:
            self._tried_at = now
            self._read(now)
        if now - self._read_at > max(MAX_STALE_SECONDS, self._keep_seconds):
            raise TokenRefused(
                Refusal.KEYS_UNREADABLE, "the issuer's public keys could not be read"
            )
        if kid not in self._keys:
            raise TokenRefused(Refusal.UNKNOWN_KEY, "no public key has the token's kid")
        return self._keys[kid]

    def _read(self, now: float) -> None:
        try:
            published = PyJWKSet.from_dict(self._source()).keys
        except (jwt.PyJWTError, BotoCoreError, ClientError, ValueError) as error:
            logger.error("the issuer's public keys could not be read", error=type(error).__name__)
            return
        self._keys = {key.key_id: key for key in published if key.key_id}
        self._read_at = now


def judge_token(token: str, keys: PublicKeys, settings: AuthorizerSettings) -> Identity:
    """The identity of a valid token. Raises TokenRefused for every other text."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise TokenRefused(
            Refusal.TOO_LONG, f"the token is longer than {MAX_TOKEN_CHARACTERS} characters"
        )
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused(Refusal.ALGORITHM, "the token's algorithm is not one of ours")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenRefused(Refusal.UNKNOWN_KEY, "the token names no kid")
        claims = jwt.decode(
            token,
            keys.key(kid),
            algorithms=list(ALGORITHMS),
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=settings.leeway_seconds,
            options={"require": list(REQUIRED_CLAIMS), "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise TokenRefused(_reason_of(error), type(error).__name__) from error
    return identity_of(claims["sub"], claims.get("merchant_id"), claims["permissions"])


def _reason_of(error: jwt.PyJWTError) -> Refusal:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))


def jwks_from_url(url: str) -> JwksSource:
    """Public keys published by the issuer."""
    return PyJWKClient(url, cache_jwk_set=False, timeout=JWKS_TIMEOUT_SECONDS).fetch_data


def jwks_from_secret(client: SecretsManagerClient, secret_arn: str) -> JwksSource:
    """Public keys kept in a secret."""
    return lambda: json.loads(client.get_secret_value(SecretId=secret_arn)["SecretString"])
