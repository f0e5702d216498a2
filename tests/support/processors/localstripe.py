"""A fake of Stripe: localstripe, in its own process, with stripe_proxy.py in front of it."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from local.emulator import ports, toolchain
from local.progress import Progress
from local.workspace import Workspace
from tests.support.processors.stripe_proxy import StripeProxy

START_TIMEOUT_SECONDS: Final = 30.0
_PROBE_TIMEOUT_SECONDS: Final = 2.0

# Its own command listens on all interfaces, and keeps everything in a file under /tmp.
_PROGRAM: Final = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
"""


@contextmanager
def stand_in_for_stripe(log: Path, port: int | None = None) -> Iterator[StripeProxy]:
    """Both, empty, for the duration of the block. `port`: where the proxy listens."""
    with running(log) as upstream, StripeProxy(upstream, port or ports.free_port()) as proxy:
        yield proxy


@contextmanager
def running(log: Path) -> Iterator[str]:
    """The URL of an empty localstripe, for the duration of the block."""
    python = toolchain.localstripe_python(Workspace.find(), Progress())
    port = ports.free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-I", "-c", _PROGRAM, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://{ports.HOST}:{port}"
        _await_answer(process, url, log)
        yield url
    finally:
        process.kill()
        process.wait()


def _await_answer(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers(url):
        if process.poll() is not None:
            raise RuntimeError(f"localstripe ended at once: {log.read_text()[-500:]}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"localstripe did not answer: {log.read_text()[-500:]}")
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()  # any answer to a request without a key will do
        return True
    except OSError:
        return False
    return True
