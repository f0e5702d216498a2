"""What can be said against a merchant's webhook URL by looking at it.

Names are resolved, and their addresses judged by `is_public`, at each delivery: what a name points
to changes. Here stands only what no answer of the DNS can make right.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from runtime.merchants.models import MAX_WEBHOOK_URL

ALLOWED_PORTS: Final = frozenset({None, "443", "8443"})
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
MAX_HOST: Final = 253
"""Characters of a name (RFC 1035)."""
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
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and the metadata of every cloud
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that is assigned. Loopback, private, link-local, multicast, and the IPv4 addresses inside
::/96, ::ffff:0:0/96 and 64:ff9b::/96 (NAT64) are elsewhere."""
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo (an IPv4 address inside), ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",  # documentation
    )
)
# Not `is_global` of the library: what it means differs between the Pythons that we support.


def fault_of(url: str, *, allow_local: bool = False) -> str | None:
    """What is wrong with `url`, as the end of a sentence that begins with it; None: nothing is.

    `allow_local` also lets http://127.0.0.1:<port> and http://localhost:<port> pass.
    """
    fault = _fault_of_text(url)
    if fault is not None:
        return fault
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
    return _fault_of_address(parts.scheme, authority)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is one of the public Internet, and hides none that is not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _GLOBAL_UNICAST and not any(address in each for each in _NOT_PUBLIC_V6)


def _fault_of_text(url: str) -> str | None:
    if len(url) > MAX_WEBHOOK_URL:
        return f"must have at most {MAX_WEBHOOK_URL:,} characters"
    # Parsers differ in what they make of the rest; the one that delivers must see what we judged.
    if not _VISIBLE.fullmatch(url) or "\\" in url:
        return (
            "must contain only visible ASCII: write host names as xn--… and percent-encode the rest"
        )
    if "#" in url:
        return "must not have a fragment"
    return None


def _fault_of_address(scheme: str, authority: re.Match[str]) -> str | None:
    if scheme != "https":
        return "must begin with https://"
    if authority["port"] not in ALLOWED_PORTS:
        return "must use the port 443 or 8443"
    return _fault_of_ipv6(authority["v6"]) if authority["v6"] else _fault_of_host(authority["name"])


def _is_local(authority: re.Match[str]) -> bool:
    port = authority["port"] or ""
    return (
        authority["name"] in LOCAL_HOSTS
        and re.fullmatch(r"[1-9][0-9]{0,4}", port) is not None
        and int(port) <= MAX_PORT
    )


def _fault_of_ipv6(text: str) -> str | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return _UNREADABLE
    return None if is_public(address) else "must not point to an address that is not public"


def _fault_of_host(host: str) -> str | None:
    labels = host.split(".")
    # What ends in a number is an IPv4 address to a browser or a C library: 2130706433, 0x7f.1.
    if _NUMBER.fullmatch(labels[-1]):
        return _fault_of_ipv4(host)
    if len(host) > MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        return "has a host that is not a valid DNS name (without a dot at its end)"
    if any(host == domain or host.endswith(f".{domain}") for domain in _INTERNAL_DOMAINS):
        return "must not point to a host of an internal network"
    if len(labels) == 1:
        return "must have a host with its domain"
    return None


def _fault_of_ipv4(host: str) -> str | None:
    try:
        address = IPv4Address(host)
    except AddressValueError:
        return "has an address that is not written as four decimal numbers"
    return None if is_public(address) else "must not point to an address that is not public"
