"""Nothing here may open a socket: what needs one is an integration test."""

from __future__ import annotations

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_sockets():  # type: ignore[no-untyped-def]
    disable_socket(allow_unix_socket=False)
    yield
    enable_socket()
