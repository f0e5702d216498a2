"""Bearer tokens: RFC 7519 JWTs, held against the issuer's keys. Every doubt is a refusal."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jwt
from botocore.exceptions import BotoCoreError, ClientError
from jwt import PyJWK, PyJWKClient, PyJWKSet

from runtime.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from runtime.settings import AuthorizerSettings

ALGORITHMS: Final = ("RS256", "ES256")
REQUIRED_CLAIMS: Final = ("sub", "iss", "aud", "exp", "permissions")
MAX_TOKEN_CHARACTERS = 8_192
"""API Gateway passes 10,240 bytes of headers in all; a token above this is no token of ours."""
MAX_PERMISSIONS = 32
JWKS_TIMEOUT_SECONDS = 3
MIN_ASK_SECONDS = 10.0
MAX_STALE_SECONDS = 3_600.0

_MERCHANT_ID: Final = re.compile(r"mer_[0-9A-Za-z]{1,40}")

JwksSource = Callable[[], dict[str, Any]]


class TokenRefused(Exception):
    """The token is not acceptable. The reason is for the log, never for the caller."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an accepted token says."""

    subject: str
    merchant_id: str | None
    permissions: tuple[str, ...]


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
            raise TokenRefused("the issuer's public keys could not be read")
        if kid not in self._keys:
            raise TokenRefused("no public key of the issuer has the token's kid")
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
        raise TokenRefused(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused("the token's algorithm is not one of ours")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenRefused("the token names no kid")
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
        raise TokenRefused(type(error).__name__) from error
    return _identity(claims)


def _identity(claims: dict[str, Any]) -> Identity:
    permissions, merchant_id = claims["permissions"], claims.get("merchant_id")
    well_formed = isinstance(permissions, list) and all(isinstance(p, str) for p in permissions)
    if not well_formed or len(permissions) > MAX_PERMISSIONS:
        raise TokenRefused("permissions is not a short list of strings")
    if any(permission.split() != [permission] for permission in permissions):
        raise TokenRefused("a permission is empty or holds white space")
    if merchant_id is not None and not (
        isinstance(merchant_id, str) and _MERCHANT_ID.fullmatch(merchant_id)
    ):
        raise TokenRefused("merchant_id is no merchant's id")
    if not claims["sub"]:
        raise TokenRefused("sub is empty")
    return Identity(claims["sub"], merchant_id, tuple(permissions))


def jwks_from_url(url: str) -> JwksSource:
    """Public keys published by the issuer."""
    return PyJWKClient(url, cache_jwk_set=False, timeout=JWKS_TIMEOUT_SECONDS).fetch_data


def jwks_from_secret(client: SecretsManagerClient, secret_arn: str) -> JwksSource:
    """Public keys kept in a secret."""
    return lambda: json.loads(client.get_secret_value(SecretId=secret_arn)["SecretString"])
