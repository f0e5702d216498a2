"""The keys that verify tokens: the issuer's public keys, and a shared secret if the stage has one.

Both are read on first use and cached. If their source is unavailable or returns an invalid value,
the cached value is used for at most `max_stale_seconds`, and the source is retried after delays
that double from MIN_RETRY_SECONDS to MAX_RETRY_SECONDS, however many requests arrive.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWKSet

from runtime.core.observability import logger
from runtime.http.identity import Refusal, TokenRefused

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

MIN_RETRY_SECONDS: Final = 10.0
MAX_RETRY_SECONDS: Final = 60.0
MAX_STALE_SECONDS: Final = 3_600.0
"""How long cached keys are used while their source cannot be read. While it can be read, a key
that the issuer withdraws is rejected after `keep_seconds`."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: an HS256 key is at least as long as the hash."""
MIN_RSA_BITS: Final = 2_048
"""RFC 7518 section 3.3."""

JwksSource = Callable[[], dict[str, Any]]
SecretSource = Callable[[], str]
Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class _Times:
    """When a cached value is refreshed, how old it may become, and the clock to use."""

    keep_seconds: float
    max_stale_seconds: float
    monotonic: Callable[[], float]


class _CachedValue(Generic[Known]):
    """A cached value from a source that may be unavailable."""

    def __init__(
        self,
        read: Callable[[], Known],
        what: str,
        times: _Times,
    ) -> None:
        self._read = read
        self._what = what
        self._times = times
        self._known: Known | None = None
        self._read_at = self._next_try_at = float("-inf")
        self._failures = 0

    def value(self, suffices: Callable[[Known], bool] = lambda _: True) -> Known:
        """The value, refreshed if it is stale or does not suffice.

        Raises TokenRefused without a value, or with one older than `max_stale_seconds`.
        """
        now = self._times.monotonic()
        stale = now - self._read_at >= self._times.keep_seconds
        if stale or self._known is None or not suffices(self._known):
            self._refresh(now)
        if self._known is None or now - self._read_at > self._times.max_stale_seconds:
            raise TokenRefused(Refusal.KEYS_UNREADABLE, f"{self._what} could not be read")
        return self._known

    def _refresh(self, now: float) -> None:
        if now < self._next_try_at:
            return
        try:
            self._known = self._read()
        except Exception as error:  # noqa: BLE001 - the cached value is used instead
            # Only the error's type is logged: a parser's message may quote the secret.
            logger.error(f"{self._what} could not be read", error=type(error).__name__)
            pause = min(MIN_RETRY_SECONDS * 2**self._failures, MAX_RETRY_SECONDS)
            self._failures = min(self._failures + 1, 16)
        else:
            self._read_at, self._failures, pause = now, 0, MIN_RETRY_SECONDS
        self._next_try_at = now + pause


class PublicKeys:
    """The issuer's public keys by `kid`."""

    def __init__(
        self,
        source: JwksSource,
        keep_seconds: float,
        monotonic: Callable[[], float],
        max_stale_seconds: float = MAX_STALE_SECONDS,
    ) -> None:
        times = _Times(keep_seconds, max_stale_seconds, monotonic)
        self._keys = _CachedValue(lambda: _usable_keys(source()), "the issuer's public keys", times)

    def key(self, kid: str) -> PyJWK:
        """The public key with this `kid`. Raises TokenRefused if it is unknown or not readable.

        An unknown kid may belong to a new key, so the keys are refreshed, at most once every
        MIN_RETRY_SECONDS however many tokens name unknown kids.
        """
        keys = self._keys.value(lambda cached: kid in cached)
        if kid not in keys:
            raise TokenRefused(Refusal.UNKNOWN_KEY, "no public key has the token's kid")
        return keys[kid]


def _usable_keys(document: Any) -> dict[str, PyJWK]:
    """The usable keys of a JWK set (RFC 7517 section 5) by `kid`.

    Keys that are not for signatures (section 4.2), or are too short, are skipped. Raises ValueError
    if no key is usable, and other exceptions if the document is not a JWK set.
    """
    usable: dict[str, PyJWK] = {}
    for jwk in document["keys"]:
        try:
            (key,) = PyJWKSet([jwk]).keys
        except Exception as error:  # noqa: BLE001 - one invalid key must not disable the others
            logger.warning("a public key could not be read", error=type(error).__name__)
            continue
        if key.public_key_use not in (None, "sig"):
            continue
        if isinstance(key.key, RSAPublicKey) and key.key.key_size < MIN_RSA_BITS:
            logger.warning("a public key is too short", kid=key.key_id, bits=key.key.key_size)
        elif isinstance(key.key_id, str):
            usable[key.key_id] = key
    if not usable:
        raise ValueError("there are no usable keys")
    return usable


class SharedSecret:
    """The HS256 secret, decoded from base64; at least MIN_SECRET_BYTES long."""

    def __init__(
        self,
        source: SecretSource,
        keep_seconds: float,
        monotonic: Callable[[], float],
        max_stale_seconds: float = MAX_STALE_SECONDS,
    ) -> None:
        def read() -> bytes:
            secret = base64.b64decode(source().strip(), validate=True)
            if len(secret) < MIN_SECRET_BYTES:
                raise ValueError(f"the HS256 secret has fewer than {MIN_SECRET_BYTES} bytes")
            return secret

        times = _Times(keep_seconds, max_stale_seconds, monotonic)
        self._secret = _CachedValue(read, "the HS256 secret", times)

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    def value(self) -> bytes:
        """The secret. Raises TokenRefused if it is too short or cannot be read."""
        return self._secret.value()


def jwks_from_secret(client: SecretsManagerClient, secret_arn: str) -> JwksSource:
    """Read the JWK set from Secrets Manager."""
    text = text_of_secret(client, secret_arn)
    return lambda: json.loads(text())


def text_of_secret(client: SecretsManagerClient, secret_arn: str) -> SecretSource:
    """Read a secret's text from Secrets Manager."""
    return lambda: client.get_secret_value(SecretId=secret_arn)["SecretString"]
