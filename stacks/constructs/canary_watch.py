"""The alarm of the canary: it has not succeeded for a while, or does not run."""

from __future__ import annotations

from typing import Final

from stacks.constructs.alarms import Alarms
from stacks.constructs.service_function import ServiceFunction
from stacks.own_metrics import OwnMetric, own_metric
from stacks.runbooks import Runbook
from stacks.stage import StageConfig

RUNS_WITHOUT_SUCCESS: Final = 3
"""A single run may meet a deployment, or a processor that is busy."""


def watch_canary(function: ServiceFunction, *, stage: StageConfig, alarms: Alarms) -> None:
    """Trigger when runs of the canary do not succeed, or when there are none."""
    minutes = stage.schedules.canary_minutes
    assert minutes is not None, "only a stage with canary_minutes has a canary"  # noqa: S101 - a bug
    alarms.at_least(
        function,
        "Failing",
        metric=own_metric(stage.name, OwnMetric.CANARY_SUCCEEDED, minutes=minutes),
        threshold=1,
        periods=RUNS_WITHOUT_SUCCESS,
        description="The canary fails, or does not run: clients may not be able to pay.",
        runbook=Runbook.CANARY_FAILS,
        below=True,
    )
