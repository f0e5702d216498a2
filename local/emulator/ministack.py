"""The emulator's process: start it detached, recognize it, check its health, stop exactly it."""

import atexit
import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from local.emulator.kept_emulator import MARKER
from local.emulator.ports import HOST, require_free
from local.emulator.processes import ProcessIdentity, identify, signal_group, start_of
from local.errors import EmulatorDied, StateNotKept
from local.workspace import CODE_DIRECTORY, Workspace

START_TIMEOUT_SECONDS: Final = 30.0
STOP_TIMEOUT_SECONDS: Final = 10.0
SAVE_TIMEOUT_SECONDS: Final = 120.0
"""How long an emulator may take to write a large state before it is stopped without it."""
SILENCE_TIMEOUT_SECONDS: Final = 20.0
"""How long a busy emulator may leave health checks unanswered before it counts as dead."""
_HEALTH_TIMEOUT_SECONDS: Final = 3.0
_POLL_SECONDS: Final = 0.05
_HEALTH_PATH: Final = "/_ministack/health"

# One Lambda process per concurrent call, about 80 MB each. 32 requests at once hold up to 32 of
# them; the rest is room for what streams, queues and schedules start meanwhile.
CONCURRENT_LAMBDAS: Final = 64
# Each waiting call holds a thread of the emulator while its function calls the emulator again.
WORKER_THREADS: Final = 256
# Processes beyond a function's first that are idle this long are stopped to free their memory.
IDLE_LAMBDA_SECONDS: Final = 300
CODE_VARIABLE: Final = "LOCAL_CODE"
"""Names the directory of assets to functions, so that what is deployed does not name it."""
_TAIL_LINES: Final = 15
_PROGRAM: Final = Path(__file__).with_name("kept_emulator.py")
_TABLES_STATE: Final = "dynamodb.json"
_SYSTEM_PATH: Final = "/usr/local/bin:/usr/bin:/bin"

# Emulators outlive the command that starts them, on purpose. Their handles are kept, because a
# discarded one would be reported as a leak; and only its holder can collect the exit status.
_started: Final[list["subprocess.Popen[bytes]"]] = []


@dataclass(frozen=True)
class Emulator:
    """A started emulator: which process, on which port."""

    process: ProcessIdentity
    port: int
    log: Path

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def is_alive(self) -> bool:
        """Whether the process that we started still runs."""
        return self.process.is_alive()

    def answers(self) -> bool:
        """Whether the emulator answers its health check now."""
        try:
            url = self.endpoint_url + _HEALTH_PATH
            # No proxy: a developer's HTTP_PROXY must not see, or block, loopback traffic.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=_HEALTH_TIMEOUT_SECONDS) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def require_alive(self) -> None:
        """Raise EmulatorDied when its process has ended."""
        if not self.is_alive():
            raise died(self.log, "stopped unexpectedly")


def died(log: Path, how: str) -> EmulatorDied:
    """The error for a lost emulator, with the last line of its log."""
    return EmulatorDied(
        f"The AWS emulator {how}.{_last_words(log)}",
        hint="Run `make up` for a fresh one; if it happens again, its log has the reason.",
        log=log,
    )


def start(workspace: Workspace, python: Path, port: int, *, kept: bool = False) -> Emulator:
    """Start an emulator in its own session and wait until it answers.

    It is empty, unless it is `kept`: then it continues with the state that `stop_and_keep` saved.

    Raises:
        PortTaken: another process listens on `port`.
        EmulatorDied: it ended, or gave no answer within `START_TIMEOUT_SECONDS`.
    """
    require_free(port)
    if not kept:
        delete_state(workspace)
    for name in ("state", "s3", "tmp"):
        (workspace.emulator_state / name).mkdir(parents=True, exist_ok=True)
    _marker(workspace).unlink(missing_ok=True)
    with workspace.emulator_log.open("wb") as log:
        child = subprocess.Popen(
            [str(python), "-P", str(_PROGRAM)],
            cwd=workspace.emulator_state,
            env=clean_environment(workspace.emulator_state, python, port),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    _started.append(child)
    process = identify(child.pid)
    if process is None:
        raise died(workspace.emulator_log, "ended at once")
    emulator = Emulator(process, port, workspace.emulator_log)
    workspace.process_file.write_text(json.dumps({**asdict(process), "port": port}) + "\n")
    try:
        _await_answer(emulator, child)
    except BaseException:
        stop(workspace)
        raise
    return emulator


def clean_environment(state: Path, python: Path, port: int) -> dict[str, str]:
    """Everything that the emulator, and so every Lambda function in it, sees of this machine."""
    return {
        "PATH": f"{python.parent}:{_SYSTEM_PATH}",
        "HOME": str(state),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": str(state / "tmp"),
        "STATE_DIR": str(state / "state"),
        CODE_VARIABLE: str(state / CODE_DIRECTORY),
        "S3_DATA_DIR": str(state / "s3"),
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_ACCOUNT_CONCURRENCY": str(CONCURRENT_LAMBDAS),
        "LAMBDA_WARM_TTL_SECONDS": str(IDLE_LAMBDA_SECONDS),
        "MINISTACK_WORKER_THREADS": str(WORKER_THREADS),
        "LOG_LEVEL": "INFO",
        "NO_PROXY": f"{HOST},localhost",
        "PYTHONUNBUFFERED": "1",
        # What workers write beside the asset would be deleted with the state directory.
        "PYTHONPYCACHEPREFIX": str(python.parent.parent / "bytecode"),
    }


def running(workspace: Workspace) -> Emulator | None:
    """The emulator that this workspace started and that still runs, or None."""
    try:
        noted = json.loads(workspace.process_file.read_text())
        process = ProcessIdentity(int(noted["pid"]), str(noted["started"]))
        emulator = Emulator(process, int(noted["port"]), workspace.emulator_log)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # Truncated by a crash while it was written: it identifies no process that is provably ours.
        return None
    return emulator if emulator.is_alive() else None


def stop(workspace: Workspace) -> Emulator | None:
    """Stop the emulator of this workspace and its Lambda processes; None when none runs."""
    emulator = running(workspace)
    if emulator is not None:
        _end(emulator.process, STOP_TIMEOUT_SECONDS)
    _reap()
    workspace.process_file.unlink(missing_ok=True)
    return emulator


def stop_and_keep(workspace: Workspace) -> Emulator | None:
    """As `stop`, but let the emulator write its state first, for `start` with `kept`.

    Raises:
        StateNotKept: it is stopped, and its state was not written.
    """
    emulator = running(workspace)
    if emulator is None:
        return stop(workspace)
    tables = workspace.emulator_state / "state" / _TABLES_STATE
    tables.unlink(missing_ok=True)  # from an earlier stop
    tables.parent.mkdir(parents=True, exist_ok=True)
    _marker(workspace).touch()
    _end(emulator.process, SAVE_TIMEOUT_SECONDS)
    stop(workspace)
    if not tables.exists():
        raise StateNotKept(
            "The local stage is stopped, but the emulator has not written its state: it is lost.",
            hint="The emulator's log has the reason. `make up` begins with an empty stage.",
            log=workspace.emulator_log,
        )
    return emulator


def delete_state(workspace: Workspace) -> None:
    """Delete all that an emulator of this workspace has written."""
    shutil.rmtree(workspace.emulator_state, ignore_errors=True)


def _marker(workspace: Workspace) -> Path:
    return workspace.emulator_state / "state" / MARKER


@atexit.register
def _let_go() -> None:
    """Python must not warn about emulators that outlive this command: that is on purpose."""
    for child in _started:
        if child.poll() is None:
            child.returncode = 0


def _end(process: ProcessIdentity, patience_seconds: float) -> None:
    """Terminate, then kill. The process group is ours alone: the emulator leads its own session."""
    signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_seconds
    while process.is_alive() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    # Also if the leader has ended: a Lambda process may have outlived it.
    signal_group(process.pid, signal.SIGKILL)
    while process.is_alive():
        time.sleep(_POLL_SECONDS)


def _reap() -> None:
    """Collect exit statuses if this very command started the emulator."""
    for child in _started:
        # A process that was killed counts as ended as soon as its first thread has; the system has
        # an exit status for its parent a moment later, when all have.
        if child.poll() is None and start_of(child.pid) is None:
            child.wait()


def _await_answer(emulator: Emulator, child: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not emulator.answers():
        if child.poll() is not None:
            raise died(emulator.log, f"ended at once with code {child.returncode}")
        if time.monotonic() > deadline:
            raise died(emulator.log, f"gave no answer within {START_TIMEOUT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def _last_words(log: Path) -> str:
    """The emulator's last error, one line; empty if its log has nothing useful."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    except FileNotFoundError:
        return ""
    telling = [line.strip() for line in lines if "ERROR" in line or "Error" in line]
    return f" Last line of its log: {telling[-1]}" if telling else ""
