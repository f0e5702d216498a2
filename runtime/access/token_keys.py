"""What tokens are verified with: the issuer's public keys, and where a stage asks for it a secret.

Both are read when first needed and again when stale. While their source does not answer, or answers
nonsense, what is known serves on, for at most `max_stale_seconds`, and the source is asked again
after pauses that double from MIN_ASK_SECONDS to MAX_ASK_SECONDS: no request asks for itself.
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

MIN_ASK_SECONDS: Final = 10.0
MAX_ASK_SECONDS: Final = 60.0
MAX_STALE_SECONDS: Final = 3_600.0
"""How long keys serve on whose source cannot be read: a key that the issuer withdraws while it
answers is refused after `keep_seconds` already."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518 section 3.2: a key of HS256 is at least as long as its hash."""
MIN_RSA_BITS: Final = 2_048
"""RFC 7518 section 3.3."""

JwksSource = Callable[[], dict[str, Any]]
SecretSource = Callable[[], str]
Known = TypeVar("Known")


@dataclass(frozen=True, slots=True)
class _Times:
    """When a value is read again, how long it may serve at most, and by which clock."""

    keep_seconds: float
    max_stale_seconds: float
    monotonic: Callable[[], float]


class _Remembered(Generic[Known]):
    """A value from a source that may be away."""

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
        """The value; asked for again when stale, or when what is known does not suffice.

        Raises TokenRefused while there is none that is not too old.
        """
        now = self._times.monotonic()
        stale = now - self._read_at >= self._times.keep_seconds
        if stale or self._known is None or not suffices(self._known):
            self._ask(now)
        if self._known is None or now - self._read_at > self._times.max_stale_seconds:
            raise TokenRefused(Refusal.KEYS_UNREADABLE, f"{self._what} could not be read")
        return self._known

    def _ask(self, now: float) -> None:
        if now < self._next_try_at:
            return
        try:
            self._known = self._read()
        except Exception as error:  # noqa: BLE001 - whatever a source answers, no request may fail
            # The type alone: what a parser says of a secret may quote it.
            logger.error(f"{self._what} could not be read", error=type(error).__name__)
            pause = min(MIN_ASK_SECONDS * 2**self._failures, MAX_ASK_SECONDS)
            self._failures = min(self._failures + 1, 16)
        else:
            self._read_at, self._failures, pause = now, 0, MIN_ASK_SECONDS
        self._next_try_at = now + pause


class PublicKeys:
    """The issuer's keys by `kid`, read again only when stale: no unknown kid makes us ask."""

    def __init__(
        self,
        source: JwksSource,
        keep_seconds: float,
        monotonic: Callable[[], float],
        max_stale_seconds: float = MAX_STALE_SECONDS,
    ) -> None:
        times = _Times(keep_seconds, max_stale_seconds, monotonic)
        self._keys = _Remembered(lambda: _usable_keys(source()), "the issuer's public keys", times)

    def key(self, kid: str) -> PyJWK:
        """The public key named `kid`. Raises TokenRefused, also when the issuer cannot be asked.

        An unknown kid may be a new key, so it asks the issuer again, but not more often than every
        MIN_ASK_SECONDS whatever tokens name.
        """
        known = self._keys.value(lambda keys: kid in keys)
        if kid not in known:
            raise TokenRefused(Refusal.UNKNOWN_KEY, "no public key has the token's kid")
        return known[kid]


def _usable_keys(document: Any) -> dict[str, PyJWK]:
    """The keys of a JWK set (RFC 7517 section 5) by `kid`, without those that must not be used.

    Those are keys for something else than signatures (section 4.2), and short ones.
    Raises whatever for a document that is no such set, and ValueError for one without such a key.
    """
    usable: dict[str, PyJWK] = {}
    for jwk in document["keys"]:
        try:
            (key,) = PyJWKSet([jwk]).keys
        except Exception as error:  # noqa: BLE001 - one that cannot be read must not spoil the others
            logger.warning("a public key cannot be read", error=type(error).__name__)
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
    """The secret of HS256, from base64 text: at least MIN_SECRET_BYTES, or no token is good."""

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
                raise ValueError(f"the secret of HS256 has fewer than {MIN_SECRET_BYTES} bytes")
            return secret

        times = _Times(keep_seconds, max_stale_seconds, monotonic)
        self._secret = _Remembered(read, "the secret of HS256", times)

    def __repr__(self) -> str:
        return "SharedSecret(…)"

    def value(self) -> bytes:
        """The secret. Raises TokenRefused when it is too short or cannot be read."""
        return self._secret.value()


def jwks_from_secret(client: SecretsManagerClient, secret_arn: str) -> JwksSource:
    """Public keys kept in a secret."""
    text = text_of_secret(client, secret_arn)
    return lambda: json.loads(text())


def text_of_secret(client: SecretsManagerClient, secret_arn: str) -> SecretSource:
    """A secret's text."""
    return lambda: client.get_secret_value(SecretId=secret_arn)["SecretString"]
