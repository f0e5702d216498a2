"""A port is checked before anything is started on it."""

import socket
from collections.abc import Iterator

import pytest

from local.emulator.ports import free_port, parse_port, require_free
from local.errors import PortTaken

pytestmark = pytest.mark.enable_socket


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])  # noqa: S104  the case under test
def listener(request: pytest.FixtureRequest) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_free_port_may_be_used() -> None:
    port = free_port()
    require_free(port)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", port))
        assert server.getsockname()[1] == port


def test_a_listener_on_any_interface_makes_the_port_taken_and_is_named(
    listener: int,
) -> None:
    with pytest.raises(PortTaken) as caught:
        require_free(listener)
    assert f"Port {listener} on 127.0.0.1 is already in use" in caught.value.message
    assert "make up PORT=" in caught.value.hint


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "", "45.66", "٤٥٦٦٦٦"])
def test_an_invalid_port_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(PortTaken, match="is not a TCP port"):
        parse_port(text)


def test_a_port_is_parsed_from_text() -> None:
    assert parse_port("4600") == 4600
