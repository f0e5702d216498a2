"""Which stacks a stage is made of, and the rules that all of them must pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs

from stacks.acknowledgments import PACKS, acknowledge_for_stage
from stacks.api import ApiStack
from stacks.audit import AuditStack
from stacks.base_stack import FunctionsStack
from stacks.console import ConsoleStack
from stacks.constructs.service_function import ServiceFunction, target_runtime
from stacks.dashboard.watched import Watched
from stacks.data import DataStack
from stacks.exports import ExportsStack
from stacks.lambda_asset import LambdaTarget, lambda_asset
from stacks.ledger import LedgerStack
from stacks.observability import ObservabilityStack
from stacks.payments_workers import WorkersStack
from stacks.stage import StageConfig, StageError
from stacks.webhooks import WebhooksStack


@dataclass(frozen=True)
class Stacks:
    """One stage, stateful part first."""

    data: DataStack
    api: ApiStack
    workers: WorkersStack
    ledger: LedgerStack
    audit: AuditStack
    webhooks: WebhooksStack
    exports: ExportsStack
    observability: ObservabilityStack | None = None
    """Only if the stage has a dashboard."""
    console: ConsoleStack | None = None
    """Only if CloudFront serves the stage's console."""

    @property
    def of_functions(self) -> tuple[FunctionsStack, ...]:
        """The stacks whose functions do the work."""
        return (self.api, self.workers, self.ledger, self.audit, self.webhooks, self.exports)

    @property
    def present(self) -> tuple[cdk.Stack, ...]:
        """All stacks that the stage has."""
        optional = (self.observability, self.console)
        shown = tuple(stack for stack in optional if stack is not None)
        return (self.data, *self.of_functions, *shown)


def compose(app: cdk.App) -> Stacks:
    """Add the stacks of the stage that the context `stage` names.

    Context: `stage`, `stages` (cdk.json), `lambda_asset` (the directory of a built asset,
    instead of building one), `stripe_api_base` (instead of the stage's; only the stage local may
    have another than Stripe's), `unjudged` (`true` leaves the rule packs out, where tests judge the
    same stage) and `deploying` (`true` refuses what is only good to look at).

    Raises:
        StageError: the stage does not exist, is wrong, or must not be deployed like this.
        AssetBuildError: the Lambda asset could not be built.
    """
    stage = _stage(app)
    unjudged = _is_true(app, "unjudged")
    if _is_true(app, "deploying"):
        if unjudged:
            raise StageError("context unjudged: what is deployed must pass the rule packs")
        stage.refuse_deploying_placeholders()
    asset = _asset(app, stage)
    prefix = f"payments-{stage.name}"
    data = DataStack(app, f"{prefix}-data", stage=stage)
    stacks = Stacks(
        data=data,
        api=ApiStack(app, f"{prefix}-api", stage=stage, data=data, asset=asset),
        workers=WorkersStack(app, f"{prefix}-workers", stage=stage, data=data, asset=asset),
        ledger=LedgerStack(app, f"{prefix}-ledger", stage=stage, data=data, asset=asset),
        audit=AuditStack(app, f"{prefix}-audit", stage=stage, data=data, asset=asset),
        webhooks=WebhooksStack(app, f"{prefix}-webhooks", stage=stage, data=data, asset=asset),
        exports=ExportsStack(app, f"{prefix}-exports", stage=stage, data=data, asset=asset),
    )
    # The API goes live last: no payment is accepted before its change streams are read.
    for first in (stacks.ledger, stacks.audit, stacks.webhooks, stacks.workers, stacks.exports):
        stacks.api.add_stack_dependency(first)
    # What delivers knows a new type of event before the projector makes the first one.
    stacks.ledger.add_stack_dependency(stacks.webhooks)
    if stage.dashboard:
        watched = _watched(stage, stacks)
        stacks = replace(
            stacks,
            observability=ObservabilityStack(
                app,
                f"{prefix}-observability",
                watched=watched,
                termination_protection=stage.data.is_protected,
            ),
        )
    if stage.console is not None and stage.console.serve == "cloudfront":
        console = ConsoleStack(
            app,
            f"{prefix}-console",
            stage=stage,
            api=stacks.api.endpoints.api,
            termination_protection=stage.data.is_protected,
        )
        console.add_stack_dependency(stacks.api)
        stacks = replace(stacks, console=console)
    cdk.Tags.of(app).add("application", "payments")
    cdk.Tags.of(app).add("stage", stage.name)
    acknowledge_for_stage(app, stage)
    if not unjudged:
        cdk.Validations.of(app).add_plugins(*(pack(app) for pack in PACKS))
    return stacks


def _is_true(app: cdk.App, name: str) -> bool:
    return str(app.node.try_get_context(name) or "").lower() == "true"


def _watched(stage: StageConfig, stacks: Stacks) -> Watched:
    """What the dashboard shows of the other stacks."""
    functions: dict[str, ServiceFunction] = {}
    dead_letters: dict[str, sqs.IQueue] = {}
    for each in stacks.of_functions:
        functions |= each.functions
        dead_letters |= each.dead_letters
    work = {
        "deliveries": stacks.data.deliveries,
        "exports": stacks.data.export_jobs,
        "settlement files": stacks.workers.files,
    }
    return Watched(
        stage_name=stage.name,
        runbooks=stage.alarms.runbooks,
        api=stacks.api.endpoints.api,
        functions=functions,
        tables=stacks.data.tables,
        queues={name: each.queue for name, each in work.items()},
        dead_letters={**dead_letters, **{name: each.dead_letters for name, each in work.items()}},
        log_groups=[
            *(function.log_group for function in functions.values()),
            stacks.api.endpoints.access_log,
        ],
        alarms=stacks.data.alarms,
    )


def _stage(app: cdk.App) -> StageConfig:
    name = app.node.try_get_context("stage") or ""
    stages: Mapping[str, Any] = app.node.try_get_context("stages") or {}
    given = app.node.try_get_context("stripe_api_base")
    if given is not None and name in stages:
        stages = {name: {**stages[name], "stripe_api_base": given}}
    return StageConfig.named(name, stages)


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
