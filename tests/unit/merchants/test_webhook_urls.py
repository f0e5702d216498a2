"""A webhook URL must be a public host over https, however it is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.merchants.models import MAX_WEBHOOK_URL
from runtime.merchants.webhook_url import is_public, url_problem

NOT_PUBLIC_V4 = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
NOT_PUBLIC_V6 = [
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:8.8.8.8",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?token=a%20b&x=1",
        "HTTPS://Hooks.Example.COM:443/",
        "https://example.com:8443/hook",
        "https://xn--mnchen-3ya.de/hook",
        "https://1.example.com/",
        "https://0x7f.example.com/",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]:8443/",
        "https://local.example.com/",
        "https://mylocal.example/",
    ],
)
def test_a_public_https_url_is_accepted(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "visible ASCII"),
        ("example.com/hook", "must be an absolute https:// URL"),
        ("/hook", "must be an absolute https:// URL"),
        ("https:example.com", "must be an absolute https:// URL"),
        ("https:///hook", "must be an absolute https:// URL"),
        ("http://example.com/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("//example.com/", "must begin with https://"),
        ("https://example.com:80/", "port"),
        ("https://example.com:22/", "port"),
        ("https://example.com:/", "port"),
        ("https://example.com:0443/", "port"),
        ("https://example.com:443:443/", "port"),
        ("https://user@example.com/", "credentials"),
        ("https://user:secret@example.com/", "credentials"),
        ("https://@example.com/", "credentials"),
        ("https://example.com@127.0.0.1/", "credentials"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://example.com\\@127.0.0.1/", "visible ASCII"),
        ("https://127.0.0.1\\.example.com/", "visible ASCII"),
        ("https://exa mple.com/", "visible ASCII"),
        (" https://example.com/", "visible ASCII"),
        ("https://example.com/\n", "visible ASCII"),
        ("https://exam\tple.com/", "visible ASCII"),
        ("https://example.com/\x00", "visible ASCII"),
        ("https://", "must be an absolute https:// URL"),
        ("https://:443/", "host that is not valid"),
        ("https://[::1/", "host that is not valid"),
        ("https://[]/", "host that is not valid"),
        ("https://[fe80::1%25eth0]/", "host that is not valid"),
        ("https://[v1.x]/", "host that is not valid"),
        ("https://[1:2:3]/", "host that is not valid"),
        ("https://example.com./", "a trailing dot"),
        ("https://.example.com/", "not a valid DNS name"),
        ("https://a..example.com/", "not a valid DNS name"),
        ("https://-a.example.com/", "not a valid DNS name"),
        ("https://a_b.example.com/", "not a valid DNS name"),
        ("https://127.0.0.1%2eexample.com/", "not a valid DNS name"),
        ("https://example.com;x/", "not a valid DNS name"),
        (f"https://{'a' * 64}.example.com/", "not a valid DNS name"),
        (f"https://{'a.' * 130}example.com/", "not a valid DNS name"),
    ],
)
def test_another_url_is_refused_with_its_reason(url: str, fault: str) -> None:
    assert fault in (url_problem(url) or "")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost:8443",
        "a.localhost",
        "localhost.localdomain",
        "printer.local",
        "metadata.google.internal",
        "ip-10-0-0-1.eu-central-1.compute.internal",
        "router.home.arpa",
        "internal",
        "intranet",
        "com",
    ],
)
def test_names_of_this_machine_and_of_internal_networks_are_refused(host: str) -> None:
    assert " host " in (url_problem(f"https://{host}/hook") or "")


@pytest.mark.parametrize("host", ["localhost.", "printer.local.", "127.0.0.1.", "example.com.."])
def test_a_trailing_dot_does_not_hide_a_forbidden_name(host: str) -> None:
    assert url_problem(f"https://{host}/") is not None


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.0x1",
        "0x",
        "1.2.3.4.5",
        "256.256.256.256",
        "example.1",
        "08.8.8.8",
        "134744072",
    ],
)
def test_an_address_is_refused_unless_it_has_four_decimal_numbers(host: str) -> None:
    assert "four decimal numbers" in (url_problem(f"https://{host}/") or "")


@pytest.mark.parametrize(
    "host",
    [
        "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",  # localhost, full width
        "\uff11\uff12\uff17.0.0.1",
        "127\u30020\u30020\u30021",  # ideographic full stops
        "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",  # circled letters
        "\u0661\u0662\u0667.0.0.1",  # Arabic-Indic digits
        "loc\u00adalhost",  # soft hyphen
        "m\u00fcnchen.de",
    ],
)
def test_a_host_must_be_ascii(host: str) -> None:
    assert "visible ASCII" in (url_problem(f"https://{host}/") or "")


@pytest.mark.parametrize("address", NOT_PUBLIC_V4)
def test_an_ipv4_address_that_is_not_public_is_refused(address: str) -> None:
    assert (
        url_problem(f"https://{address}/hook") == "must not point to an address that is not public"
    )


@pytest.mark.parametrize("address", NOT_PUBLIC_V6)
def test_an_ipv6_address_that_is_not_public_is_refused(address: str) -> None:
    assert (
        url_problem(f"https://[{address}]/hook")
        == "must not point to an address that is not public"
    )


@given(st.ip_addresses())
def test_an_address_private_in_python_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert not is_public(address)


@given(st.text(max_size=40))
def test_no_text_crashes_the_check(text: str) -> None:
    url_problem(text, allow_local=True)
    url_problem(f"https://{text}/", allow_local=True)


def test_the_longest_url_is_2048_characters() -> None:
    longest = "https://example.com/".ljust(MAX_WEBHOOK_URL, "a")
    assert url_problem(longest) is None
    assert url_problem(longest + "a") == "must have at most 2,048 characters"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/hook", "http://localhost:80", "http://LOCALHOST:65535/?a=b"],
)
def test_the_local_stage_may_call_its_own_machine(url: str) -> None:
    assert url_problem(url, allow_local=True) is None
    assert url_problem(url) == "must begin with https://"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://localhost:/",
        "http://localhost:0/",
        "http://localhost:65536/",
        "http://localhost:+80/",
        "http://127.0.0.2:80/",
        "http://127.1:80/",
        "http://0.0.0.0:80/",
        "http://[::1]:80/",
        "http://10.0.0.1:80/",
        "http://169.254.169.254:80/",
        "http://a.localhost:80/",
        "http://localhost.:80/",
        "http://example.com:80/",
        "http://user@127.0.0.1:80/",
        "http://127.0.0.1:80/#a",
        "https://127.0.0.1:8443/",
        "https://localhost:443/",
        "ftp://127.0.0.1:21/",
    ],
)
def test_the_local_stage_refuses_other_forbidden_urls(url: str) -> None:
    assert url_problem(url, allow_local=True) is not None


def test_the_local_stage_accepts_public_urls_too() -> None:
    assert url_problem("https://example.com/hook", allow_local=True) is None
