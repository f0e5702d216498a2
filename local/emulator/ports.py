"""TCP ports on the loopback interface."""

import errno
import socket
from typing import Final

from local.errors import PortTaken

HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 4566
_CONNECT_TIMEOUT_SECONDS: Final = 1.0
_PORTS: Final = range(1, 65536)


def parse_port(text: str) -> int:
    """A port number from the command line or the environment.

    Raises:
        PortTaken: `text` is not a number from 1 to 65535.
    """
    if not text.isdecimal() or int(text) not in _PORTS:
        raise PortTaken(
            f"PORT={text!r} is not a TCP port.",
            hint="Give a number from 1 to 65535: make up PORT=4600",
        )
    return int(text)


def require_free(port: int) -> None:
    """Raise PortTaken if another process listens on `port`, or this user may not."""
    reason = _why_not_free(port)
    if reason is not None:
        raise PortTaken(
            f"Port {port} on {HOST} {reason}.",
            hint=f"Stop what uses it, or choose another port: make up PORT={free_port()}",
        )


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _why_not_free(port: int) -> str | None:
    # Connecting finds a listener on all interfaces, which some systems would let us bind next to.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_SECONDS)
        if probe.connect_ex((HOST, port)) == 0:
            return "is already in use by another program"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                return "needs administrator rights"
            return f"cannot be used ({error.strerror})"
    return None
