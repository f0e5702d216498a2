"""The canary runs where a stage has a schedule for it, and may do nothing but read its secret."""

from __future__ import annotations

from typing import Any

import pytest

from operations.canary_merchant import PAYMENTS_PER_DAY
from runtime.settings import (
    CANARY_FAILED,
    CANARY_SUCCEEDED,
    LONGEST_RUN_SECONDS,
    CanarySettings,
    canary_secret_name,
)
from stacks.constructs.canary_watch import RUNS_WITHOUT_SUCCESS
from stacks.stage_workload import Schedules
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import Synthesized, cdk_json_context

CANARY_MINUTES = cdk_json_context()["stages"]["prod"]["schedules"]["canary_minutes"]
MINUTES_A_DAY = 24 * 60


@pytest.fixture(params=["local", "prod"])
def stage(request: pytest.FixtureRequest, synthesize: Synthesize) -> Synthesized:
    """One stage with a canary of payments that are tests, and one of live ones."""
    return synthesize(request.param)


def _name(stage: Synthesized) -> str:
    return stage.name


def _canary(stage: Synthesized) -> Any:
    return stage.functions()["canary"]


def test_only_a_stage_that_asks_for_it_has_a_canary(synthesize: Synthesize) -> None:
    assert "canary" not in synthesize("dev").functions()
    for stage in ("local", "staging", "prod"):
        assert "canary" in synthesize(stage).functions()


def test_the_canary_of_live_payments_only_reads(stage: Synthesized) -> None:
    properties = _canary(stage).properties
    assert properties["Handler"] == "runtime.functions.start.canary"
    assert properties["Timeout"] == LONGEST_RUN_SECONDS
    variables = properties["Environment"]["Variables"]
    settings = CanarySettings.from_environment({k: stage.flat(v) for k, v in variables.items()})
    assert settings.processors == ("live" if _name(stage) == "prod" else "test")
    assert settings.canary_secret_arn.endswith(f":secret:{canary_secret_name(_name(stage))}")
    assert settings.tables == {}


def test_the_canary_may_read_its_secret_and_nothing_else(stage: Synthesized) -> None:
    allowed = {
        action: statement["Resource"]
        for statement in stage.statements_of("canary")
        for action in statement["Action"]
    }
    services = {action.partition(":")[0] for action in allowed}
    # Logs, traces, and the dead-letter queue with its key: as every scheduled function.
    assert services == {"logs", "xray", "sqs", "kms", "secretsmanager"}
    assert {each for each in allowed if each.startswith(("sqs:", "secretsmanager:"))} == {
        "sqs:SendMessage",
        "secretsmanager:GetSecretValue",
    }
    (secret,) = allowed["secretsmanager:GetSecretValue"]
    assert secret.endswith(f":secret:{canary_secret_name(_name(stage))}-??????")


def test_the_event_has_the_schedules_time(prod: Synthesized) -> None:
    (rule,) = (
        each
        for each in prod.all("AWS::Events::Rule")
        if each.properties.get("ScheduleExpression") == f"rate({CANARY_MINUTES} minutes)"
    )
    (target,) = rule.properties["Targets"]
    assert target["InputTransformer"]["InputPathsMap"] == {"time": "$.time"}
    assert target["InputTransformer"]["InputTemplate"] == '{"schedule":"canary","time":<time>}'


def test_the_alarm_triggers_without_a_success_even_if_nothing_runs(
    prod: Synthesized,
) -> None:
    (alarm,) = (
        each
        for each in prod.all("AWS::CloudWatch::Alarm")
        if each.properties.get("MetricName") == "CanarySucceeded"
    )
    found = alarm.properties
    assert found["ComparisonOperator"] == "LessThanThreshold"
    assert found["TreatMissingData"] == "breaching"
    assert (found["Threshold"], found["EvaluationPeriods"]) == (1, RUNS_WITHOUT_SUCCESS)
    assert found["Period"] == 60 * CANARY_MINUTES
    longest = next(
        each.le for each in Schedules.model_fields["canary_minutes"].metadata if hasattr(each, "le")
    )
    assert 60 * longest * RUNS_WITHOUT_SUCCESS <= 86_400, "CloudWatch's longest"
    assert "PageAlarms" in str(found["AlarmActions"])


def test_each_run_is_counted_by_its_log_line(prod: Synthesized) -> None:
    group = _canary(prod).properties["LoggingConfig"]["LogGroup"]
    counted = {
        metric["MetricName"]: (each.properties["FilterPattern"], metric["MetricValue"])
        for each in prod.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
        for metric in each.properties["MetricTransformations"]
    }
    succeeded, failed = (
        f'{{ $.message = "{each}" }}' for each in (CANARY_SUCCEEDED, CANARY_FAILED)
    )
    assert counted == {
        "CanarySucceeded": (succeeded, "1"),
        "CanaryFailed": (failed, "1"),
        "CanaryMilliseconds": (succeeded, "$.milliseconds"),
    }


def test_the_limit_of_the_canarys_merchant_lets_every_run_pay() -> None:
    assert MINUTES_A_DAY / CANARY_MINUTES < PAYMENTS_PER_DAY
