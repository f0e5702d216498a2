"""`up` and `down`: from a checkout to a running stack, and back to nothing, or to kept data."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from local.auth import AuthSettings, jwks, signing_key
from local.emulator import ministack
from local.emulator.account import prepare_account
from local.emulator.aws import Clients
from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, STRIPE_VARIABLE, CdkCli
from local.emulator.empty_stages import EmptyStage
from local.emulator.ministack import Emulator
from local.emulator.ports import DEFAULT_PORT, require_free
from local.emulator.readiness import await_health, put_secret, set_cors, set_locks, set_ttls
from local.emulator.templates import LeftOut, adapt_assembly
from local.emulator.thin_asset import thin_asset
from local.emulator.toolchain import cdk_cli, ministack_python
from local.errors import AlreadyRunning, DeployFailed, LocalError
from local.progress import Progress
from local.stackfile import Schedule, Stack
from local.workspace import Workspace
from permissions.recording import VARIABLE as RECORD_CALLS

DATA_STACK: Final = "payments-local-data"
API_STACK: Final = "payments-local-api"
WORKERS_STACK: Final = "payments-local-workers"
LEDGER_STACK: Final = "payments-local-ledger"
AUDIT_STACK: Final = "payments-local-audit"
WEBHOOKS_STACK: Final = "payments-local-webhooks"
EXPORTS_STACK: Final = "payments-local-exports"
_STACKS: Final = (
    DATA_STACK,
    API_STACK,
    WORKERS_STACK,
    LEDGER_STACK,
    AUDIT_STACK,
    WEBHOOKS_STACK,
    EXPORTS_STACK,
)

# A change in any of these requires a new deployment.
_DEPLOYED_SOURCES: Final = (
    "app.py",
    "cdk.json",
    "console",
    "local/emulator/templates.py",
    "local/emulator/thin_asset.py",
    "package-lock.json",
    "requirements-lambda.txt",
    "requirements.txt",
    "runtime",
    "stacks",
)


def up(workspace: Workspace, port: int | None = None, progress: Progress | None = None) -> Stack:
    """Have the local stage running with the current sources. Idempotent.

    Args:
        workspace: its state directory; another directory is another, independent stage.
        port: where the emulator listens; None keeps that of a running or kept one, or takes
            `DEFAULT_PORT`.
        progress: where the steps are shown.

    Raises:
        LocalError: the reason why it does not run. An emulator started here is stopped again,
            and kept data stays kept.
    """
    progress = progress or Progress()
    workspace.prepare()
    sources = sources_fingerprint(workspace.root)
    # Many commands begin with this one: if nothing is left to do, they do not block each other.
    if standing := _standing(workspace, port, sources):
        return standing
    with _only_one(workspace):
        running = _running_or_cleared(workspace, port)
        kept_port = _kept_port(workspace) if running is None else None
        if running is not None:
            if standing := _standing(workspace, port, sources):
                return standing
            progress.note("The sources changed: deploying them over the running stage.")
        site = _Site(
            workspace,
            cdk_cli(workspace, progress),
            ministack_python(workspace, progress),
            port or kept_port or DEFAULT_PORT,
            progress,
        )
        fresh = running is None and kept_port is None
        try:
            if fresh:
                stack = _fresh(site, sources)
            else:
                stack = _deploy(site, running or _start(site, kept=True))
                site.await_health(stack)
        except BaseException:
            if running is None:
                down(workspace, keep=not fresh)
            raise
        stack.write(workspace.stack_file)
        workspace.deployed_file.write_text(json.dumps({"sources": sources}) + "\n")
        return stack


class Stopped(StrEnum):
    """The result of `down`, as text."""

    NOTHING = "Nothing runs."
    STILL_KEPT = "Nothing is running. Data was kept: the next `make up` uses it."
    KEPT_DELETED = "Nothing is running. The kept data was deleted."
    DELETED = "The local stage was stopped and its data deleted. To keep it: make down KEEP=1"
    KEPT = "The local stage was stopped. Its data is kept: the next `make up` uses it."


def down(workspace: Workspace, *, keep: bool = False) -> Stopped:
    """Stop what `up` started in this workspace, and delete its data unless it is to be kept.

    Raises:
        StateNotKept: it is stopped, and its data could not be kept.
    """
    running = ministack.running(workspace)
    if keep and running is not None:
        try:
            ministack.stop_and_keep(workspace)
        finally:
            _forget_deployment(workspace)
        workspace.kept_file.write_text(json.dumps({"port": running.port}) + "\n")
        return Stopped.KEPT
    ministack.stop(workspace)
    _forget_deployment(workspace)
    had_kept = _kept_port(workspace) is not None
    if keep:
        return Stopped.STILL_KEPT if had_kept else Stopped.NOTHING
    workspace.kept_file.unlink(missing_ok=True)
    ministack.delete_state(workspace)
    if running is not None:
        return Stopped.DELETED
    return Stopped.KEPT_DELETED if had_kept else Stopped.NOTHING


def sources_fingerprint(root: Path) -> str:
    """Hash of everything that affects a deployment."""
    digest = hashlib.sha256(os.environ.get(STRIPE_VARIABLE, "").encode())
    for name in _DEPLOYED_SOURCES:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                digest.update(f"{file.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()


def stack_from_outputs(outputs: dict[str, dict[str, str]], endpoint_url: str) -> Stack:
    """Read the stacks' outputs, each of which is one JSON text.

    Raises:
        DeployFailed: an output that the local stage needs is missing or not JSON.
    """
    try:
        data, api, *others = (outputs[name] for name in _STACKS)
        schedules: dict[str, Any] = {}
        functions: dict[str, str] = json.loads(api["Functions"])
        for stack in others:
            schedules |= json.loads(stack["Schedules"])
            functions |= json.loads(stack["Functions"])
        return Stack(
            # The emulator's own outputs give host names that do not resolve; only the id matters.
            api_url=f"{endpoint_url}/_aws/execute-api/{api['ApiId']}/$default",
            aws_endpoint_url=endpoint_url,
            region=REGION,
            access_key_id=ACCESS_KEY_ID,
            secret_access_key=SECRET_ACCESS_KEY,
            buckets=json.loads(data["Buckets"]),
            tables=json.loads(data["Tables"]),
            functions=functions,
            schedules={name: Schedule.model_validate(it) for name, it in schedules.items()},
        )
    except (KeyError, ValueError) as error:
        found = {name: sorted(values) for name, values in outputs.items()}
        raise DeployFailed(
            f"The deployed stacks' outputs are not usable ({error!r}); found {found}.",
            hint=f"{', '.join(_STACKS)} must give what local/deploy.py reads.",
        ) from error


def _standing(workspace: Workspace, port: int | None, sources: str) -> Stack | None:
    """The stage, if it runs and was deployed from these sources."""
    running, stack = ministack.running(workspace), Stack.read(workspace.stack_file)
    if running is None or stack is None or port not in (None, running.port):
        return None
    if _deployed_sources(workspace) != sources or not running.answers():
        return None
    await_health(stack.api_url, running)
    return stack


def _running_or_cleared(workspace: Workspace, port: int | None) -> Emulator | None:
    """Our emulator if it is usable. One that is half deployed or unresponsive is stopped."""
    running = ministack.running(workspace)
    if running is None:
        _forget_deployment(workspace)
        kept_port = _kept_port(workspace)
        if kept_port is not None and port not in (None, kept_port):
            raise AlreadyRunning(
                f"The kept data is of a stage on port {kept_port}, not {port}.",
                hint=f"Continue with it: make up PORT={kept_port}. Or delete it: make down",
            )
        require_free(port or kept_port or DEFAULT_PORT)  # before minutes of set-up, not after
        return None
    if port is not None and port != running.port:
        raise AlreadyRunning(
            f"The local stage already runs on port {running.port}, not {port}.",
            hint="Stop it first: make down",
        )
    if Stack.read(workspace.stack_file) is None or not running.answers():
        down(workspace)
        return None
    return running


def _forget_deployment(workspace: Workspace) -> None:
    """Delete what is recorded about the last emulator; not its data."""
    workspace.process_file.unlink(missing_ok=True)
    workspace.stack_file.unlink(missing_ok=True)
    workspace.deployed_file.unlink(missing_ok=True)


def _kept_port(workspace: Workspace) -> int | None:
    """The port of the stage whose data was kept; None when none was."""
    try:
        return int(json.loads(workspace.kept_file.read_text())["port"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Site:
    """Where a stage is deployed, and with what."""

    workspace: Workspace
    cdk: Path
    python: Path
    port: int
    progress: Progress

    def await_health(self, stack: Stack) -> None:
        emulator = ministack.running(self.workspace)
        if emulator is None:
            raise ministack.died(self.workspace.emulator_log, "stopped unexpectedly")
        with self.progress.step("Wait for /v1/health"):
            await_health(stack.api_url, emulator)


def _start(site: _Site, *, kept: bool = False) -> Emulator:
    what = f"Start the AWS emulator on port {site.port}{', with kept data' * kept}"
    with site.progress.step(what):
        emulator = ministack.start(site.workspace, site.python, site.port, kept=kept)
    site.workspace.kept_file.unlink(missing_ok=True)
    return emulator


def _fresh(site: _Site, sources: str) -> Stack:
    """A stage without data: a copy of one of the same sources if there is one, or deployed."""
    empty = EmptyStage.of(site.workspace, sources)
    if os.environ.get(RECORD_CALLS):
        stack = _deploy(site, _prepared(site))  # its functions do more than others
    elif empty.exists():
        try:
            stack = _copied(site, empty)
            site.await_health(stack)
        except Exception:
            empty.forget()
            raise
        return stack
    else:
        stack = _first(site, empty)
    site.await_health(stack)
    return stack


def _copied(site: _Site, empty: EmptyStage) -> Stack:
    workspace = site.workspace
    with site.progress.step(f"Start the AWS emulator on port {site.port}, with an empty stage"):
        ministack.delete_state(workspace)
        _lambda_asset(workspace)
        empty.copy_to(workspace, site.port)
        emulator = ministack.start(workspace, site.python, site.port, kept=True)
        _put_signing_keys(workspace, Clients(emulator.endpoint_url))
    outputs = json.loads(workspace.outputs_file.read_text())
    return stack_from_outputs(outputs, emulator.endpoint_url)


def _first(site: _Site, empty: EmptyStage) -> Stack:
    """Deployed, and kept for later ones. It goes on from its saved state, as they do."""
    stack = _deploy(site, _prepared(site))
    with site.progress.step("Keep a copy of the empty stage for the next one"):
        ministack.stop_and_keep(site.workspace)
        empty.keep(site.workspace, site.port)
        ministack.start(site.workspace, site.python, site.port, kept=True)
    return stack


def _prepared(site: _Site) -> Emulator:
    """An emulator with what every deployment requires."""
    emulator = _start(site)
    with site.progress.step("Prepare the account (the CDK's own stack, signing keys)"):
        clients = Clients(emulator.endpoint_url)
        prepare_account(clients.stacks, site.workspace.root / "node_modules")
        _put_signing_keys(site.workspace, clients)
    return emulator


def _put_signing_keys(workspace: Workspace, clients: Clients) -> None:
    settings = AuthSettings.of_local_stage(workspace.root)
    put_secret(clients, settings.jwks_secret_name, json.dumps(jwks(signing_key(workspace))))


def _deploy(site: _Site, emulator: Emulator) -> Stack:
    workspace, progress = site.workspace, site.progress
    cli = CdkCli(site.cdk, workspace, emulator)
    with progress.step("Build the Lambda asset"):
        asset = _lambda_asset(workspace)
    with progress.step("Synthesize and adapt the templates"):
        cli.synthesize(asset)
        left_out = adapt_assembly(workspace.synthesized, workspace.adapted)
    _tell_left_out(left_out, progress)
    with progress.step("Deploy the stacks (cdk deploy)"):
        cli.deploy()
    with progress.step("Set expiry, locks and CORS"):
        clients = Clients(emulator.endpoint_url)
        outputs = json.loads(workspace.outputs_file.read_text())
        stack = stack_from_outputs(outputs, emulator.endpoint_url)
        set_ttls(clients, _all_tables(), stack.tables)
        set_locks(clients, stack.buckets["audit"], workspace.synthesized)
        set_cors(clients, outputs[API_STACK]["ApiId"], workspace.synthesized)
    return stack


def _lambda_asset(workspace: Workspace) -> Path:
    # Imported here, as below: commands that only read stack.json should not pay for it.
    from stacks.lambda_asset import AssetBuildError, LambdaTarget, lambda_asset

    try:
        asset = lambda_asset(LambdaTarget.this_machine(), workspace.root / "build")
    except AssetBuildError as error:
        raise DeployFailed(
            f"The Lambda asset could not be built: {error}", hint="Then run it again."
        ) from error
    calls = os.environ.get(RECORD_CALLS)
    return thin_asset(asset, workspace.code, Path(calls) if calls else None)


def _all_tables() -> tuple[Any, ...]:
    from runtime.tables import ALL_TABLES

    return ALL_TABLES


def _tell_left_out(left_out: tuple[LeftOut, ...], progress: Progress) -> None:
    types = sorted({item.resource_type.removeprefix("AWS::") for item in left_out})
    if types:
        progress.note(f"Not supported by the emulator: {len(left_out)} of {', '.join(types)}")


def _deployed_sources(workspace: Workspace) -> str | None:
    try:
        noted = json.loads(workspace.deployed_file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return str(noted.get("sources"))


@contextmanager
def _only_one(workspace: Workspace) -> Iterator[None]:
    """Two concurrent `up` would stop each other's emulator."""
    descriptor = os.open(workspace.directory / "up.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LocalError(
            f"Another `make up` is running in {workspace.directory}.",
            hint="Wait for it, then try again.",
        ) from error
    finally:
        os.close(descriptor)
