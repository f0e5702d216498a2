"""What tokens are verified with: the issuer's public keys, and where a stage asks for it a secret.

Both are read when first needed, again when stale, and never more often than every MIN_ASK_SECONDS.
While their source does not answer, what is known serves on, for at most MAX_STALE_SECONDS.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import jwt
from botocore.exceptions import BotoCoreError, ClientError
from jwt import PyJWK, PyJWKClient, PyJWKSet

from runtime.domain.identity import Refusal, TokenRefused
from runtime.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

JWKS_TIMEOUT_SECONDS = 3
MIN_ASK_SECONDS = 10.0
MAX_STALE_SECONDS = 3_600.0
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key of HS256 is at least as long as its hash."""

JwksSource = Callable[[], dict[str, Any]]
SecretSource = Callable[[], str]
Known = TypeVar("Known")


class _Remembered(Generic[Known]):
    """A value from a source that may be away."""

    def __init__(
        self,
        read: Callable[[], Known],
        keep_seconds: float,
        monotonic: Callable[[], float],
        what: str,
    ) -> None:
        self._read = read
        self._keep_seconds = keep_seconds
        self._monotonic = monotonic
        self._what = what
        self._known: Known | None = None
        self._read_at = self._tried_at = float("-inf")

    def value(self, suffices: Callable[[Known], bool] = lambda _: True) -> Known:
        """The value; asked for again when stale, or when what is known does not suffice.

        Raises TokenRefused while there is none that is not too old.
        """
        now = self._monotonic()
        stale = now - self._read_at >= self._keep_seconds
        if stale or self._known is None or not suffices(self._known):
            self._ask(now)
        too_old = now - self._read_at > max(MAX_STALE_SECONDS, self._keep_seconds)
        if self._known is None or too_old:
            raise TokenRefused(Refusal.KEYS_UNREADABLE, f"{self._what} could not be read")
        return self._known

    def _ask(self, now: float) -> None:
        if now - self._tried_at < MIN_ASK_SECONDS:
            return
        self._tried_at = now
        try:
            self._known = self._read()
        except (jwt.PyJWTError, BotoCoreError, ClientError, ValueError) as error:
            # The type alone: what a parser says of a secret may quote it.
            logger.error(f"{self._what} could not be read", error=type(error).__name__)
            return
        self._read_at = now


class PublicKeys:
    """The issuer's keys by `kid`, read again only when stale: no unknown kid makes us ask."""

    def __init__(
        self,
        source: JwksSource,
        keep_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        def read() -> dict[str, PyJWK]:
            published = PyJWKSet.from_dict(source()).keys
            return {key.key_id: key for key in published if key.key_id}

        self._keys = _Remembered(read, keep_seconds, monotonic, "the issuer's public keys")

    def key(self, kid: str) -> PyJWK:
        """The public key named `kid`. Raises TokenRefused, also when the issuer cannot be asked.

        An unknown kid may be a new key, so it asks the issuer again, but not more often than every
        MIN_ASK_SECONDS.
        """
        known = self._keys.value(lambda keys: kid in keys)
        if kid not in known:
            raise TokenRefused(Refusal.UNKNOWN_KEY, "no public key has the token's kid")
        return known[kid]


class SharedSecret:
    """The secret of HS256, from base64 text: at least MIN_SECRET_BYTES, or no token is good."""

    def __init__(
        self,
        source: SecretSource,
        keep_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        def read() -> bytes:
            secret = base64.b64decode(source().strip(), validate=True)
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(f"the secret of HS256 has fewer than {MIN_SECRET_BYTES} bytes")
            return secret

        self._secret = _Remembered(read, keep_seconds, monotonic, "the secret of HS256")

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    def value(self) -> bytes:
        """The secret. Raises TokenRefused when it is too short or cannot be read."""
        return self._secret.value()


def jwks_from_url(url: str) -> JwksSource:
    """Public keys published by the issuer."""
    return PyJWKClient(url, cache_jwk_set=False, timeout=JWKS_TIMEOUT_SECONDS).fetch_data


def jwks_from_secret(client: SecretsManagerClient, secret_arn: str) -> JwksSource:
    """Public keys kept in a secret."""
    text = text_of_secret(client, secret_arn)
    return lambda: json.loads(text())


def text_of_secret(client: SecretsManagerClient, secret_arn: str) -> SecretSource:
    """A secret's text."""
    return lambda: client.get_secret_value(SecretId=secret_arn)["SecretString"]
