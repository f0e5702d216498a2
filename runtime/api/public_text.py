"""Public texts, built once per process: served compressed, with entity tags for caches.

Anyone can request them at any rate, so an answer must be small: gzip if the client accepts it
(RFC 9110 section 12.5.3), 304 without a body if it already has the text (section 13.1.2).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Final

from runtime.http.responses import HttpResponse

CACHE_SECONDS: Final = 3_600
"""How long a client may cache the text; it changes only with a deployment."""
_GZIP_NAMES: Final = frozenset({"gzip", "x-gzip", "*"})


@dataclass(frozen=True)
class PublicText:
    """A text from `content`, which is called once; `plain` is for clients without gzip."""

    content_type: str
    content: Callable[[], str]
    plain: Callable[[], str]
    headers: Mapping[str, str]
    cache_control: str = f"public, max-age={CACHE_SECONDS}"

    def answer(self, request_headers: Mapping[str, str]) -> HttpResponse:
        """200 with the text, or 304. Names in `request_headers` are in lower case."""
        zipped = takes_gzip(request_headers.get("accept-encoding", ""))
        tag, body = self._zipped if zipped else self._plain
        headers = {
            **self.headers,
            "Cache-Control": self.cache_control,
            "ETag": tag,
            "Vary": "Accept-Encoding",
        }
        if _has(tag, request_headers.get("if-none-match", "")):
            return HttpResponse(HTTPStatus.NOT_MODIFIED, None, "", headers)
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return HttpResponse(HTTPStatus.OK, self.content_type, body, headers, base64_encoded=zipped)

    @cached_property
    def _zipped(self) -> tuple[str, str]:
        """ETag, and the body in API Gateway's form for bytes: base64."""
        small = gzip.compress(self.content().encode(), mtime=0)
        return _tag(small), base64.b64encode(small).decode("ascii")

    @cached_property
    def _plain(self) -> tuple[str, str]:
        text = self.plain()
        return _tag(text.encode()), text


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the client accepts gzip. Without the header it may be unable to decompress."""
    for each in accept_encoding.lower().split(","):
        coding, _, parameters = each.partition(";")
        if coding.strip() in _GZIP_NAMES:
            weight = parameters.replace(" ", "").removeprefix("q=")
            return weight.strip("0.") != "" or weight == ""
    return False


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _has(tag: str, if_none_match: str) -> bool:
    """Whether the client has this text already (weak comparison, as in RFC 9110)."""
    known = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in (tag, "*") for each in known)
