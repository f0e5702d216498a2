"""Unit tests of the runtime may not open sockets: a test that needs one is an integration test."""

from __future__ import annotations

import pytest
from pytest_socket import disable_socket, enable_socket

FREE = {"local", "operations", "simulation", "stacks"}
"""Their tests start processes, and find free ports."""


@pytest.fixture(autouse=True)
def _no_sockets(request):  # type: ignore[no-untyped-def]
    if FREE & set(request.path.parts):
        yield
        return
    disable_socket(allow_unix_socket=False)
    yield
    enable_socket()
