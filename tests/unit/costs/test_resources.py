"""What is read from templates."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.costs.prices import DAYS_PER_MONTH
from stacks.costs.resources import Backups, StageResources, runs_per_month


def of(*resources: tuple[str, dict[str, Any]]) -> StageResources:
    """The resources of one template."""
    listed = {
        f"R{number}": {"Type": kind, "Properties": properties}
        for number, (kind, properties) in enumerate(resources)
    }
    return StageResources.of([{"Resources": listed}])


@pytest.mark.parametrize(
    ("rate", "per_day"),
    [
        ("rate(1 minute)", 1_440),
        ("rate(5 minutes)", 288),
        ("rate(1 hour)", 24),
        ("rate(7 days)", 1 / 7),
    ],
)
def test_runs_of_a_rate(rate: str, per_day: float) -> None:
    assert runs_per_month(rate) == pytest.approx(DAYS_PER_MONTH * per_day)


def test_another_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a rate of minutes"):
        runs_per_month("cron(0 5 * * ? *)")


def test_a_schedule_is_named_by_what_it_sends() -> None:
    rule = {"ScheduleExpression": "rate(1 day)", "Targets": [{"Input": '{"schedule":"poll"}'}]}
    arrived = {"EventPattern": {"source": ["aws.s3"]}, "Targets": [{"Arn": "queue"}]}
    stage = of(("AWS::Events::Rule", rule), ("AWS::Events::Rule", arrived))
    assert stage.runs == pytest.approx({"poll": DAYS_PER_MONTH})


def test_every_metric_of_an_alarm_counts_and_an_expression_does_not() -> None:
    plain = {"MetricName": "Errors", "Namespace": "AWS/Lambda"}
    summed = {
        "Metrics": [
            {"Id": "sum", "Expression": "a + b"},
            {"Id": "a", "MetricStat": {}},
            {"Id": "b", "MetricStat": {}},
        ]
    }
    stage = of(("AWS::CloudWatch::Alarm", plain), ("AWS::CloudWatch::Alarm", summed))
    assert stage.alarm_metrics == 3


def test_streams_and_queues_are_counted_separately() -> None:
    alias = {"Fn::Join": ["", [{"Fn::Select": [6, [{"Ref": "ArchiveLive072731F4"}]]}, ":live"]]}
    stream = {
        "StartingPosition": "TRIM_HORIZON",
        "FunctionName": alias,
        "MaximumBatchingWindowInSeconds": 30,
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    mapping = "AWS::Lambda::EventSourceMapping"
    stage = of((mapping, stream), (mapping, {"FunctionName": alias}))
    assert stage.windows == {"archive": 30.0}
    assert (stage.polled_queues, stage.stream_mappings_with_metrics) == (1, 1)


def test_a_function_has_its_memory_processor_and_tracing() -> None:
    function = {
        "MemorySize": 512,
        "Architectures": ["arm64"],
        "TracingConfig": {"Mode": "Active"},
        "Environment": {"Variables": {"SERVICE": "deliver"}},
    }
    found = of(("AWS::Lambda::Function", function)).functions["deliver"]
    assert (found.memory_megabytes, found.architecture) == (512, "arm64")
    assert found.is_traced
    assert not found.has_snapshots


def test_logs_are_kept_as_long_as_the_longest_and_forever_without_a_limit() -> None:
    group = "AWS::Logs::LogGroup"
    assert of((group, {"RetentionInDays": 30}), (group, {"RetentionInDays": 365})).log_days == 365
    assert of((group, {"RetentionInDays": 30}), (group, {})).log_days is None


@pytest.mark.parametrize(
    ("trail", "has"),
    [
        ({"EventSelectors": [{"IncludeManagementEvents": True}]}, False),
        ({"EventSelectors": [{"DataResources": [{"Type": "AWS::S3::Object"}]}]}, True),
        (
            {
                "AdvancedEventSelectors": [
                    {"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Data"]}]}
                ]
            },
            True,
        ),
        (
            {
                "AdvancedEventSelectors": [
                    {
                        "FieldSelectors": [
                            {"Field": "eventCategory", "Equals": ["Data"]},
                            {"Field": "userIdentity.arn", "NotStartsWith": ["arn:aws:sts:"]},
                        ]
                    }
                ]
            },
            False,
        ),
    ],
)
def test_a_trail_of_all_callers_is_noticed(trail: dict[str, Any], has: bool) -> None:
    assert of(("AWS::CloudTrail::Trail", trail)).records_functions is has


def backed_up(selected: str, rules: list[dict[str, Any]]) -> StageResources:
    """A template with a plan that selects one resource."""
    plan = {"BackupPlan": {"BackupPlanRule": rules}}
    selection = {
        "BackupPlanId": {"Fn::GetAtt": ["Plan", "BackupPlanId"]},
        "BackupSelection": {"Resources": [{"Fn::GetAtt": [selected, "Arn"]}]},
    }
    resources = {
        "Plan": {"Type": "AWS::Backup::BackupPlan", "Properties": plan},
        "Selection": {"Type": "AWS::Backup::BackupSelection", "Properties": selection},
        "Payments": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
        "Files": {"Type": "AWS::S3::Bucket", "Properties": {}},
    }
    return StageResources.of([{"Resources": resources}])


DAILY = {"ScheduleExpression": "cron(0 3 * * ? *)", "Lifecycle": {"DeleteAfterDays": 7}}
MONTHLY = {
    "ScheduleExpression": "cron(0 5 1 * ? *)",
    "Lifecycle": {"DeleteAfterDays": 365},
    "CopyActions": [{"DestinationBackupVaultArn": "arn:other"}],
}


def test_backup_rules_say_how_often_for_how_long_and_in_how_many_vaults() -> None:
    assert backed_up("Payments", [DAILY, MONTHLY]).backups == (
        Backups(1.0, 7.0, 1),
        Backups(DAYS_PER_MONTH, 365.0, 2),
    )


def test_backups_of_buckets_are_not_full_copies() -> None:
    assert backed_up("Files", [DAILY]).backups == ()


def test_backups_without_an_end_are_refused() -> None:
    rule = {"RuleName": "daily", "ScheduleExpression": "cron(0 5 * * ? *)"}
    with pytest.raises(ValueError, match="rule daily keeps its backups forever"):
        backed_up("Payments", [rule])
