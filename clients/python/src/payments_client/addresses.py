"""Which addresses and tokens a client accepts: a token must not leave in the clear."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def checked_address(base_url: str) -> str:
    """The address without a slash at its end. Raises ValueError unless it is https or local."""
    parts = urlsplit(base_url)
    if parts.hostname is None or parts.username is not None:
        raise ValueError("base_url must be an address such as https://api.example.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_local(parts.hostname)):
        raise ValueError("base_url must begin with https:// (http:// only for this machine)")
    return base_url.rstrip("/")


def checked_token(token: str) -> str:
    """The token. Raises ValueError, without repeating it, if it cannot stand in a header."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("The token is empty, or has spaces or characters that tokens do not have")
    return token


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
