"""Other releases of the code, deployed over a local stage by the CDK, as over a stage in AWS."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from local.emulator import ministack
from local.emulator.cdk import CdkCli
from local.emulator.templates import adapt_assembly
from local.emulator.thin_asset import thin_asset
from local.emulator.toolchain import cdk_cli
from local.progress import Progress
from local.workspace import Workspace
from stacks.lambda_asset import LambdaTarget, lambda_asset

RELEASE_HEADER: Final = "X-Release"
"""Header of every answer of the earlier release; answers of today's code have none."""
EARLIER: Final = "earlier"
HTTP_FUNCTION: Final = Path("runtime/functions/http/function.py")
_BEFORE: Final = '{"Cache-Control": "no-store", '
_AFTER: Final = f'{_BEFORE}"{RELEASE_HEADER}": "{EARLIER}", '


def earlier(source: str) -> str:
    """Source of the HTTP function as of the earlier release, from today's `source`."""
    assert source.count(_BEFORE) == 1, f"{HTTP_FUNCTION} has changed: adapt the earlier release"
    return source.replace(_BEFORE, _AFTER)


@dataclass(frozen=True)
class Releases:
    """Deploys today's code and an earlier release over the stage that runs in `workspace`."""

    workspace: Workspace
    progress: Progress

    def deploy_current(self) -> None:
        """Today's code: the assembly with which the stage was started, as it is."""
        self._cli(self.workspace).deploy()

    def deploy_earlier(self) -> None:
        """The same code, whose answers have one header more."""
        # Beside the stage's own files, which tell other commands what is deployed.
        beside = replace(self.workspace, directory=self.workspace.directory / "releases")
        beside.prepare()
        cli = self._cli(beside)
        cli.synthesize(thin_asset(self._earlier_asset(), self.workspace.code))
        adapt_assembly(beside.synthesized, beside.adapted)
        cli.deploy()

    def _cli(self, workspace: Workspace) -> CdkCli:
        emulator = ministack.running(self.workspace)
        assert emulator is not None, "the stage does not run"
        return CdkCli(cdk_cli(self.workspace, self.progress), workspace, emulator)

    def _earlier_asset(self) -> Path:
        """An asset of its own: the dependencies of today's, and changed sources."""
        current = lambda_asset(LambdaTarget.this_machine(), self.workspace.root / "build")
        asset = self.workspace.directory / "releases" / f"{current.name}-{EARLIER}"
        shutil.rmtree(asset, ignore_errors=True)
        without_ours = shutil.ignore_patterns("runtime")
        shutil.copytree(current, asset, ignore=without_ours)
        sources = self.workspace.root / "runtime"
        shutil.copytree(sources, asset / "runtime", ignore=shutil.ignore_patterns("__pycache__"))
        module = asset / HTTP_FUNCTION
        module.write_text(earlier(module.read_text()))
        return asset
