"""Which stacks a stage is made of, and the rules that all of them must pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from stacks.api import ApiStack
from stacks.constructs.service_function import target_runtime
from stacks.data import DataStack
from stacks.lambda_asset import LambdaTarget, lambda_asset
from stacks.ledger import LedgerStack
from stacks.stage import StageConfig, StageError
from stacks.workers import WorkersStack


@dataclass(frozen=True)
class Stacks:
    """One stage, stateful part first."""

    data: DataStack
    api: ApiStack
    workers: WorkersStack
    ledger: LedgerStack


def compose(app: cdk.App) -> Stacks:
    """Add the stacks of the stage that the context `stage` names.

    Context: `stage`, `stages` (cdk.json), `lambda_asset` (the directory of a built asset,
    instead of building one) and `deploying` (`true` refuses what is good enough to look at only).

    Raises:
        StageError: the stage does not exist, is wrong, or must not be deployed like this.
        AssetBuildError: the Lambda asset could not be built.
    """
    stage = StageConfig.named(
        app.node.try_get_context("stage") or "", app.node.try_get_context("stages") or {}
    )
    if str(app.node.try_get_context("deploying") or "").lower() == "true":
        stage.refuse_deploying_placeholders()
    asset = _asset(app, stage)
    prefix = f"payments-{stage.name}"
    data = DataStack(app, f"{prefix}-data", stage=stage)
    stacks = Stacks(
        data=data,
        api=ApiStack(app, f"{prefix}-api", stage=stage, data=data, asset=asset),
        workers=WorkersStack(app, f"{prefix}-workers", stage=stage, data=data, asset=asset),
        ledger=LedgerStack(app, f"{prefix}-ledger", stage=stage, data=data, asset=asset),
    )
    cdk.Tags.of(app).add("application", "payments")
    cdk.Tags.of(app).add("stage", stage.name)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    return stacks


def _asset(app: cdk.App, stage: StageConfig) -> Path:
    given = app.node.try_get_context("lambda_asset")
    if given is None:
        return lambda_asset(_target(stage))
    directory = Path(str(given))
    if not directory.is_dir():
        raise StageError(f"context lambda_asset names no directory: {directory}")
    return directory


def _target(stage: StageConfig) -> LambdaTarget:
    if stage.lambda_runtime == "this-machine":
        return LambdaTarget.this_machine()
    runtime = target_runtime(stage)
    return LambdaTarget(runtime.architecture, runtime.python_version)
