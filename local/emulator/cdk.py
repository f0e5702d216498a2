"""The real CDK CLI against the emulator: synthesize, deploy, and report failures."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.emulator.ministack import SILENCE_TIMEOUT_SECONDS, Emulator, died
from local.emulator.processes import signal_group
from local.errors import DeployFailed
from local.workspace import Workspace

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
ACCESS_KEY_ID: Final = "test"
SECRET_ACCESS_KEY: Final = "test"  # noqa: S105  the emulator's dummy credential; it is not evaluated

STRIPE_VARIABLE: Final = "STRIPE_API_BASE"
"""Where the local stage finds Stripe, instead of cdk.json's address: a fake, or Stripe."""

CLI_TIMEOUT_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.1
_HEALTH_EVERY_SECONDS: Final = 2.0
_STOP_TIMEOUT_SECONDS: Final = 5.0
_SHOWN_LINES: Final = 12
_TELLING: Final = re.compile(r"❌|fail|error|exception|refus|denied|invalid|unable", re.IGNORECASE)
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Variables of a developer's shell that would send the CLI to a real account or through a proxy.
_NOT_PASSED_ON: Final = re.compile(r"(AWS_|CDK_|JSII_|https?_proxy$|all_proxy$)", re.IGNORECASE)


@dataclass(frozen=True)
class CdkCli:
    """The pinned CLI in one workspace; `emulator` is absent while only templates are written."""

    executable: Path
    workspace: Workspace
    emulator: Emulator | None = None

    def synthesize(self, lambda_asset: Path) -> None:
        """Write the local stage's cloud assembly.

        Raises:
            DeployFailed: the app raised.
        """
        self._run(
            "synth",
            "--quiet",
            "--app",
            f'"{sys.executable}" app.py',
            "--output",
            str(self.workspace.synthesized),
            *("--context", "stage=local", "--context", f"lambda_asset={lambda_asset}"),
            *("--context", "unjudged=true"),  # the tests of the templates judge this stage
            *_stripe_context(),
        )

    def deploy(self) -> None:
        """Deploy the adapted assembly and write the stacks' outputs.

        Raises:
            DeployFailed: a stack failed.
            EmulatorDied: the emulator did, meanwhile.
        """
        self._run(
            "deploy",
            "--all",
            "--app",
            str(self.workspace.adapted),
            *("--require-approval", "never", "--progress", "events", "--concurrency", "4"),
            # Without change sets: for each the CLI loads its model of all resources of AWS.
            *("--method", "direct"),
            *("--outputs-file", str(self.workspace.outputs_file)),
        )

    def _run(self, command: str, *arguments: str) -> None:
        log = self.workspace.directory / f"cdk-{command}.log"
        with log.open("wb") as out:
            child = subprocess.Popen(
                [str(self.executable), command, *arguments, "--no-color", "--no-notices"],
                cwd=self.workspace.root,
                env=self._environment(),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            code = self._wait(child, command, log)
        finally:
            _end(child)
        if code != 0:
            self._require_emulator()
            raise DeployFailed(
                f"`cdk {command}` failed with code {code}:\n{telling_lines(log)}",
                hint="Fix what it names, then run it again.",
                log=log,
            )

    def _wait(self, child: "subprocess.Popen[bytes]", command: str, log: Path) -> int:
        """The CLI's exit code. Watches the emulator: without it the CLI would retry for minutes."""
        started = last_answer = last_check = time.monotonic()
        while (code := child.poll()) is None:
            now = time.monotonic()
            if now - started > CLI_TIMEOUT_SECONDS:
                raise DeployFailed(
                    f"`cdk {command}` ran over {CLI_TIMEOUT_SECONDS:.0f} s:\n{telling_lines(log)}",
                    hint="A resource may hang on the emulator; the log names the last one.",
                    log=log,
                )
            if self.emulator is not None:
                self.emulator.require_alive()
                if now - last_check > _HEALTH_EVERY_SECONDS:
                    last_check = now
                    if self.emulator.answers():
                        last_answer = time.monotonic()
                    elif now - last_answer > SILENCE_TIMEOUT_SECONDS:
                        how = f"has not answered for {SILENCE_TIMEOUT_SECONDS:.0f} s"
                        raise died(self.emulator.log, how)
            time.sleep(_POLL_SECONDS)
        return code

    def _require_emulator(self) -> None:
        """A CLI failure caused by the emulator going away is reported as that."""
        if self.emulator is not None:
            self.emulator.require_alive()

    def _environment(self) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if not _NOT_PASSED_ON.match(name)}
        emulator = {} if self.emulator is None else {"AWS_ENDPOINT_URL": self.emulator.endpoint_url}
        return {
            **mine,
            **emulator,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            # The CDK's own rules, which the tests apply as well: half of a synthesis.
            "CDK_VALIDATION": "false",
            "CDK_HOME": str(self.workspace.directory / "cdk.home"),
            "CI": "true",
        }


def _stripe_context() -> tuple[str, ...]:
    given = os.environ.get(STRIPE_VARIABLE)
    return ("--context", f"stripe_api_base={given}") if given else ()


def telling_lines(log: Path) -> str:
    """The last lines of a CLI log with the reason of a failure; the plain end if none has it."""
    lines = [_ANSI.sub("", line).rstrip() for line in log.read_text(errors="replace").splitlines()]
    spoken = [line for line in lines if line.strip()]
    telling: Sequence[str] = [line for line in spoken if _TELLING.search(line)]
    return "\n".join(f"    {line.strip()}" for line in (telling or spoken)[-_SHOWN_LINES:])


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Leave no CLI behind when we stop waiting for it."""
    if child.poll() is not None:
        return
    signal_group(child.pid, signal.SIGTERM)
    try:
        child.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        signal_group(child.pid, signal.SIGKILL)
        child.wait()
