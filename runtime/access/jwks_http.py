"""The issuer's public keys over HTTP: one request, bounded in time and size whatever is answered.

PyJWT's own client reads as much as comes, waits anew for each byte and follows redirects, also to
plain http.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPMessage
from typing import IO, Any, Final
from urllib.request import HTTPRedirectHandler, Request, build_opener

JWKS_TIMEOUT_SECONDS: Final = 2.0
"""For name, connection and answer together: well below the authorizer's own timeout."""
MAX_JWKS_BYTES: Final = 256 * 1024
"""Some hundred keys with their certificates; issuers publish a handful."""
_CHUNK_BYTES: Final = 16 * 1024


class JwksUnreadable(Exception):
    """The issuer's answer is late, too large or a redirect."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """None makes the library raise the status as an error."""


def jwks_from_url(url: str, seconds: float = JWKS_TIMEOUT_SECONDS) -> Callable[[], Any]:
    """Reads the document that the issuer publishes, as JSON. What it raises says what went wrong.

    A thread waits for the answer, since a socket's timeout begins anew with every byte; there is
    one at a time, so that an issuer who never ends ties up no second one.
    """
    opener = build_opener(_NoRedirects)
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jwks")

    def download() -> bytes:
        ends = time.monotonic() + seconds
        with opener.open(url, timeout=seconds) as answer:
            return _read(answer, ends)

    def fetch() -> Any:
        asked = reader.submit(download)
        try:
            return json.loads(asked.result(timeout=seconds))
        finally:
            asked.cancel()

    return fetch


def _read(answer: Any, ends: float) -> bytes:
    """The whole body. Raises JwksUnreadable when it is too large, or not over at `ends`."""
    document = bytearray()
    while chunk := answer.read1(_CHUNK_BYTES):
        document += chunk
        if len(document) > MAX_JWKS_BYTES:
            raise JwksUnreadable(f"the answer has more than {MAX_JWKS_BYTES} bytes")
        if time.monotonic() > ends:
            raise JwksUnreadable("the answer took too long")
    return bytes(document)
