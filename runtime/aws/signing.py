"""AWS Signature Version 4 for requests to AWS APIs (IAM User Guide, "Signing AWS API requests")."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_TERMINATOR: Final = "aws4_request"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; `token` belongs to temporary credentials. Only the key's id may be shown."""

    access_key_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError, without the value, for what HTTP cannot send in a header."""
        for value in (self.access_key_id, self.token or ""):
            if not (value.isascii() and value.isprintable()):
                raise ValueError("AWS credentials have characters that a header cannot have")


@dataclass(frozen=True, slots=True)
class _SigningKey:
    """A key derived from `secret_key` for the requests of one day."""

    day: str
    secret_key: str = field(repr=False)
    key: bytes = field(repr=False)


def amz_date(moment: datetime) -> str:
    """The value of the header x-amz-date, in UTC, such as `20150830T123600Z`."""
    # strftime takes ten times as long.
    text = moment.isoformat(timespec="seconds")
    return f"{text[:4]}{text[5:7]}{text[8:13]}{text[14:16]}{text[17:19]}Z"


class Signer:
    """Signs requests to one service in one region. Threads may share it.

    The derived key is kept: it changes with the day and the credentials only, and deriving it takes
    five of the eight hashes of a signature.
    """

    def __init__(self, region: str, service: str) -> None:
        self._region, self._service = region, service
        self._last: _SigningKey | None = None

    def authorization(
        self, credentials: Credentials, headers: Mapping[str, str], body: bytes, timestamp: str
    ) -> str:
        """The Authorization header of `POST /` with `headers` and `body`.

        `headers` are the signed ones: lower-case names in alphabetical order, values without outer
        or repeated spaces. `timestamp` is the value of x-amz-date, such as `20150830T123600Z`.
        """
        day = timestamp[:8]
        names = ";".join(headers)
        lines = "".join([f"{name}:{value}\n" for name, value in headers.items()])
        request = f"POST\n/\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        scope = f"{day}/{self._region}/{self._service}/{_TERMINATOR}"
        digest = sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
        signature = hmac.digest(self._key(credentials, day), text.encode(), "sha256").hex()
        return (
            f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )

    def _key(self, credentials: Credentials, day: str) -> bytes:
        last = self._last
        if last is not None and last.day == day and last.secret_key == credentials.secret_key:
            return last.key
        key = f"AWS4{credentials.secret_key}".encode()
        for part in (day, self._region, self._service, _TERMINATOR):
            key = hmac.digest(key, part.encode(), "sha256")
        self._last = _SigningKey(day, credentials.secret_key, key)
        return key
