"""A stage is brought into an emulator: deployed by the CDK, or copied from a kept empty one."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from local.auth import AuthSettings, jwks, signing_key
from local.emulator import ministack
from local.emulator.account import prepare_account
from local.emulator.aws import Clients
from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, CdkCli
from local.emulator.empty_stages import EmptyStage
from local.emulator.ministack import Emulator
from local.emulator.readiness import await_health, put_secret, set_cors, set_locks, set_ttls
from local.emulator.templates import LeftOut, adapt_assembly
from local.emulator.thin_asset import thin_asset
from local.errors import DeployFailed, LocalError
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


@dataclass(frozen=True)
class Site:
    """Where a stage is deployed, and with what."""

    workspace: Workspace
    cdk: Path
    python: Path
    port: int
    progress: Progress

    def start(self, *, kept: bool = False) -> Emulator:
        """An emulator that is empty, or goes on with the kept data."""
        what = f"Start the AWS emulator on port {self.port}{', with kept data' * kept}"
        with self.progress.step(what):
            emulator = ministack.start(self.workspace, self.python, self.port, kept=kept)
        self.workspace.kept_file.unlink(missing_ok=True)
        return emulator

    def fresh(self, sources: str) -> Stack:
        """A stage without data: a copy of a kept one, or deployed.

        `sources`: hash of what is deployed.
        """
        if os.environ.get(RECORD_CALLS):
            return self.deployed(self._prepared())  # its functions do more than others
        empty = EmptyStage.of(self.workspace, sources)
        copy = self._copied_or_forgotten(empty) if empty.exists() else None
        return copy or self._first(empty)

    def deployed(self, emulator: Emulator) -> Stack:
        """The current sources, deployed by the CDK into `emulator`, as soon as the API answers."""
        stack = self._deploy(emulator)
        self._await_health(stack)
        return stack

    def _copied_or_forgotten(self, empty: EmptyStage) -> Stack | None:
        """A copy that answers; None, and the kept stage is deleted, if it cannot be used."""
        ministack.delete_state(self.workspace)
        with self.progress.step("Build the Lambda asset"):
            self._lambda_asset()
        try:
            return self._copied(empty)
        except (LocalError, ClientError, OSError, ValueError) as error:
            self.progress.note(f"Deploying a new stage; the kept one cannot be used: {error}")
            ministack.stop(self.workspace)
            empty.forget()
            return None

    def _copied(self, empty: EmptyStage) -> Stack:
        title = f"Start the AWS emulator on port {self.port}, with an empty stage"
        with self.progress.step(title):
            empty.copy_to(self.workspace, self.port)
            emulator = ministack.start(self.workspace, self.python, self.port, kept=True)
            self._put_signing_keys(Clients(emulator.endpoint_url))
        outputs = json.loads(self.workspace.outputs_file.read_text())
        stack = stack_from_outputs(outputs, emulator.endpoint_url)
        self._await_health(stack)
        return stack

    def _first(self, empty: EmptyStage) -> Stack:
        """Deployed, and kept for later ones. It goes on from its saved state, as they do."""
        stack = self._deploy(self._prepared())
        with self.progress.step("Keep a copy of the empty stage for the next one"):
            ministack.stop_and_keep(self.workspace)
            empty.keep(self.workspace, self.port)
            ministack.start(self.workspace, self.python, self.port, kept=True)
        self._await_health(stack)
        return stack

    def _prepared(self) -> Emulator:
        """An emulator with what every deployment requires."""
        emulator = self.start()
        with self.progress.step("Prepare the account (the CDK's own stack, signing keys)"):
            clients = Clients(emulator.endpoint_url)
            prepare_account(clients.stacks, self.workspace.root / "node_modules")
            self._put_signing_keys(clients)
        return emulator

    def _put_signing_keys(self, clients: Clients) -> None:
        settings = AuthSettings.of_local_stage(self.workspace.root)
        put_secret(
            clients, settings.jwks_secret_name, json.dumps(jwks(signing_key(self.workspace)))
        )

    def _deploy(self, emulator: Emulator) -> Stack:
        workspace, progress = self.workspace, self.progress
        cli = CdkCli(self.cdk, workspace, emulator)
        with progress.step("Build the Lambda asset"):
            asset = self._lambda_asset()
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

    def _lambda_asset(self) -> Path:
        # Imported here, as below: commands that only read stack.json should not pay for it.
        from stacks.lambda_asset import AssetBuildError, LambdaTarget, lambda_asset

        try:
            asset = lambda_asset(LambdaTarget.this_machine(), self.workspace.root / "build")
        except AssetBuildError as error:
            raise DeployFailed(
                f"The Lambda asset could not be built: {error}", hint="Then run it again."
            ) from error
        calls = os.environ.get(RECORD_CALLS)
        return thin_asset(asset, self.workspace.code, Path(calls) if calls else None)

    def _await_health(self, stack: Stack) -> None:
        emulator = ministack.running(self.workspace)
        if emulator is None:
            raise ministack.died(self.workspace.emulator_log, "stopped unexpectedly")
        with self.progress.step("Wait for /v1/health"):
            await_health(stack.api_url, emulator)


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
            hint=f"{', '.join(_STACKS)} must give what local/emulator/stage.py reads.",
        ) from error


def _all_tables() -> tuple[Any, ...]:
    from runtime.tables import ALL_TABLES

    return ALL_TABLES


def _tell_left_out(left_out: tuple[LeftOut, ...], progress: Progress) -> None:
    types = sorted({item.resource_type.removeprefix("AWS::") for item in left_out})
    if types:
        progress.note(f"Not supported by the emulator: {len(left_out)} of {', '.join(types)}")
