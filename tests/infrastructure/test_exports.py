"""Export jobs reach their worker one at a time, and it can read only lists and its own files."""

from __future__ import annotations

from runtime.merchants.models import MerchantProfile
from runtime.reporting.exports.models import EXPORT_GIVEN_UP, EXPORT_PREFIX
from runtime.settings.files import PROFILE_ATTRIBUTES
from stacks.constructs.schema_table import table_logical_id
from tests.infrastructure.synthesized import Synthesized


def test_the_queue_of_export_jobs_feeds_the_worker(stage: Synthesized) -> None:
    (source,) = (
        each for each in stage.all("AWS::Lambda::EventSourceMapping") if each.stack == "exports"
    )
    properties = source.properties
    assert stage.flat(properties["EventSourceArn"]).startswith("${ExportJobsQueue")
    assert "ExportLive" in str(properties["FunctionName"])
    assert properties["BatchSize"] == 1
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (queue,) = (
        each
        for each in stage.all("AWS::SQS::Queue")
        if each.logical_id.startswith("ExportJobsQueue")
    )
    timeout = stage.functions()["export"].properties["Timeout"]
    assert queue.properties["VisibilityTimeout"] >= 6 * timeout
    assert queue.properties["RedrivePolicy"]["maxReceiveCount"] == 5


def test_the_projector_may_queue_jobs_and_the_worker_may_requeue_itself(
    stage: Synthesized,
) -> None:
    for service in ("project", "export"):
        sends = [
            resource
            for statement in stage.statements_of(service)
            if "sqs:SendMessage" in statement["Action"]
            for resource in statement["Resource"]
        ]
        assert any(resource.startswith("${ExportJobsQueue") for resource in sends)


def test_the_worker_accesses_only_its_own_files_and_a_link_only_reads_them(
    stage: Synthesized,
) -> None:
    allowed = {"export": {"s3:GetObject", "s3:PutObject"}, "query": {"s3:GetObject"}}
    for service, actions in allowed.items():
        found = {
            (resource.partition("/")[2], action)
            for statement in stage.statements_of(service)
            for resource in statement["Resource"]
            for action in statement["Action"]
            if action.startswith("s3:") and resource.startswith("${ExportBucket")
        }
        wanted = {(f"{EXPORT_PREFIX}*", action) for action in actions}
        assert {each for each in found if each[0].startswith(EXPORT_PREFIX)} == wanted


def test_the_worker_reads_no_encrypted_field_of_a_merchant(stage: Synthesized) -> None:
    assert set(PROFILE_ATTRIBUTES) == set(MerchantProfile.model_fields)
    (merchants,) = (
        statement
        for statement in stage.statements_of("export")
        if statement["Resource"] == [f"${{{table_logical_id('merchants')}.Arn}}"]
    )
    attributes = merchants["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"]
    assert attributes == list(PROFILE_ATTRIBUTES)


def test_files_are_kept_as_long_as_the_rows_that_refer_to_them(stage: Synthesized) -> None:
    (bucket,) = (
        each for each in stage.all("AWS::S3::Bucket") if each.logical_id.startswith("ExportBucket")
    )
    rules = bucket.properties["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule] == [7]


def test_the_outputs_name_the_worker(stage: Synthesized) -> None:
    assert set(stage.output("exports", "Functions")) == {"export"}
    assert stage.output("exports", "Schedules") == {}


def test_a_failed_export_triggers_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["export"].properties["LoggingConfig"]["LogGroup"]
    (lines,) = (
        each
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
    )
    assert f'"{EXPORT_GIVEN_UP}"' in lines.properties["FilterPattern"]
    (metric,) = lines.properties["MetricTransformations"]
    assert any(
        alarm.properties.get("MetricName") == metric["MetricName"]
        for alarm in stage.all("AWS::CloudWatch::Alarm")
    )
