"""The headers of every answer that belongs to the console, and the types of its files.

The one source of both: the function of the stages that serve the console beside the API, and the
stack that puts it behind CloudFront, read them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

CACHE_CONTROL: Final = "no-cache"
"""A browser keeps a file, and asks each time whether it is still the same: after an upload a reload
gets the files of one deployment, and an unchanged one costs an answer without a body."""

CONTENT_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)
"""By a file's suffix. All are texts: the console has no font and no bitmap of its own."""

_CLOSED_FEATURES: Final = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "usb",
)
"""What a page may ask a browser for, and the console never does."""


def content_type_of(name: str) -> str:
    """The type of the file `name`. Raises ValueError for a suffix that is not listed."""
    suffix = PurePath(name).suffix
    if suffix not in CONTENT_TYPES:
        raise ValueError(
            f"{name}: the console serves no files that end in {suffix or 'no suffix'}; "
            f"it serves {', '.join(CONTENT_TYPES)}"
        )
    return CONTENT_TYPES[suffix]


def security_headers(token_endpoint: str | None = None) -> dict[str, str]:
    """The headers that limit what the console's page and files can do in a browser.

    Nothing is loaded from elsewhere, nothing inline is run, no page may frame it, and it sends
    requests to its own origin only. `token_endpoint` is the one exception: where a sign-in with
    OpenID Connect exchanges its code for a token.
    """
    connect = ["'self'"] if token_endpoint is None else ["'self'", origin_of(token_endpoint)]
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": " ".join(connect),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{name}=()" for name in _CLOSED_FEATURES),
    }


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, as a browser compares them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
