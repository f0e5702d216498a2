"""Checks of a webhook URL that need no DNS lookup.

Host names are resolved at each delivery, because their addresses change, and the addresses are
checked with `is_public`.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from runtime.core.errors import InvalidValue
from runtime.merchants.models import MAX_WEBHOOK_URL

ALLOWED_PORTS: Final = frozenset({None, "443", "8443"})
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
MAX_HOST: Final = 253
"""Characters in a host name (RFC 1035)."""
MAX_PORT: Final = 65_535

_UNREADABLE: Final = "has a host that is not valid"
_INTERNAL_DOMAINS: Final = ("localhost", "localdomain", "local", "internal", "home.arpa")
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>.*))?")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, including cloud metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All assigned public addresses. Loopback, private, link-local and multicast addresses are outside
it, as are embedded IPv4 addresses: ::/96, ::ffff:0:0/96 and 64:ff9b::/96 (NAT64)."""
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo (embeds an IPv4 address), ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: embeds an IPv4 address
        "3fff::/20",  # documentation
    )
)
# The standard library's `is_global` is not used: its meaning differs between Python versions.


def url_problem(url: str, *, allow_local: bool = False) -> str | None:
    """What is wrong with `url`, as the predicate of a sentence; None if it is valid.

    `allow_local` also accepts http://127.0.0.1:<port> and http://localhost:<port>.
    """
    problem = _text_problem(url)
    if problem is not None:
        return problem
    try:
        parts = urlsplit(url)
    except ValueError:
        return _UNREADABLE
    if not parts.netloc:
        return "must be an absolute https:// URL with a host"
    if "@" in parts.netloc:
        return "must not contain credentials"
    authority = _AUTHORITY.fullmatch(parts.netloc.lower())
    if authority is None:
        return _UNREADABLE
    if allow_local and parts.scheme == "http" and _is_local(authority):
        return None
    return _address_problem(parts.scheme, authority)


def require_callable(url: str, param: str, *, allow_local: bool) -> None:
    """Raises InvalidValue for `param` if `url` is not valid."""
    problem = url_problem(url, allow_local=allow_local)
    if problem is not None:
        # The URL itself is not repeated: it may contain a token of the merchant's.
        raise InvalidValue(f"{param} {problem}", param=param)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is public, and does not embed an address that is not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _GLOBAL_UNICAST and not any(address in each for each in _NOT_PUBLIC_V6)


def _text_problem(url: str) -> str | None:
    if len(url) > MAX_WEBHOOK_URL:
        return f"must have at most {MAX_WEBHOOK_URL:,} characters"
    # URL parsers differ in how they treat other characters. The client that delivers must see the
    # same host as this check.
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        return (
            "must contain only visible ASCII: write host names as xn--… and percent-encode the rest"
        )
    if "#" in url:
        return "must not have a fragment"
    return None


def _address_problem(scheme: str, authority: re.Match[str]) -> str | None:
    if scheme != "https":
        return "must begin with https://"
    if authority["port"] not in ALLOWED_PORTS:
        return "must use port 443 or 8443"
    return _ipv6_problem(authority["v6"]) if authority["v6"] else _host_problem(authority["name"])


def _is_local(authority: re.Match[str]) -> bool:
    port = authority["port"] or ""
    return (
        authority["name"] in LOCAL_HOSTS
        and re.fullmatch(r"[1-9][0-9]{0,4}", port) is not None
        and int(port) <= MAX_PORT
    )


def _ipv6_problem(text: str) -> str | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return _UNREADABLE
    return None if is_public(address) else "must not point to an address that is not public"


def _host_problem(host: str) -> str | None:
    labels = host.split(".")
    # Browsers and C libraries read a host that ends in a number as IPv4: 2130706433, 0x7f.1.
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4_problem(host)
    if len(host) > MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        return "has a host that is not a valid DNS name (without a trailing dot)"
    if any(host == domain or host.endswith(f".{domain}") for domain in _INTERNAL_DOMAINS):
        return "must not point to a host on an internal network"
    if len(labels) == 1:
        return "must have a host with a domain"
    return None


def _ipv4_problem(host: str) -> str | None:
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return "has an address that is not written as four decimal numbers"
    return None if is_public(address) else "must not point to an address that is not public"
