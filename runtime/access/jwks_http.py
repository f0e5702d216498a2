"""Fetch the issuer's public keys over HTTP, with limits on time and size.

PyJWT's own client has no size limit, restarts its timeout with every byte, and follows redirects,
even to plain http.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPMessage
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

JWKS_TIMEOUT_SECONDS: Final = 2.0
"""For DNS, connection and response together. Well below the authorizer's own timeout."""
MAX_JWKS_BYTES: Final = 256 * 1024
"""Enough for hundreds of keys with their certificates; issuers publish a few."""
_CHUNK_BYTES: Final = 16 * 1024


class JwksUnreadable(Exception):
    """The issuer's response is too late or too large."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Returning None makes urllib raise the redirect as an error."""


def jwks_from_url(url: str, seconds: float = JWKS_TIMEOUT_SECONDS) -> Callable[[], Any]:
    """A function that fetches the issuer's JWK set. It raises whatever the download raises.

    A socket timeout restarts with every byte, so a thread downloads while the caller waits. There
    is only one thread: an issuer that never finishes cannot tie up another.
    """
    opener = build_opener(_NoRedirects)
    reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jwks")

    def download() -> bytes:
        deadline = time.monotonic() + seconds
        try:
            with opener.open(url, timeout=seconds) as response:
                return _read(response, deadline)
        except HTTPError as refusal:
            # It holds the connection, which would stay open for as long as the error is kept.
            refusal.close()
            raise

    def fetch() -> Any:
        download_task = reader.submit(download)
        try:
            return json.loads(download_task.result(timeout=seconds))
        finally:
            download_task.cancel()

    return fetch


def _read(response: Any, deadline: float) -> bytes:
    """The complete body. Raises JwksUnreadable if it is too large or not complete by `deadline`."""
    document = bytearray()
    while chunk := response.read1(_CHUNK_BYTES):
        document += chunk
        if len(document) > MAX_JWKS_BYTES:
            raise JwksUnreadable(f"the response has more than {MAX_JWKS_BYTES} bytes")
        if time.monotonic() > deadline:
            raise JwksUnreadable("the response took too long")
    return bytes(document)
