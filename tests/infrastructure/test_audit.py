"""The audit log is append-only, and its rows are soon copied to locked storage."""

from __future__ import annotations

from runtime.core.change_context import AUDIT_TAMPERED
from tests.infrastructure.synthesized import Json, Synthesized, listed

CHANGES = {
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:PartiQLDelete",
    "dynamodb:PartiQLUpdate",
    "dynamodb:UpdateItem",
}


def _policy(stage: Synthesized) -> dict[str, Json]:
    table = stage.templates["data"]["Resources"]["AuditLogTable"]["Properties"]
    statements = table["ResourcePolicy"]["PolicyDocument"]["Statement"]
    return {statement["Sid"]: statement for statement in statements}


def test_no_principal_may_change_or_delete_an_audit_row(stage: Synthesized) -> None:
    denial = _policy(stage)["RowsStayAsTheyAre"]
    assert denial["Effect"] == "Deny"
    assert denial["Principal"] == {"AWS": "*"}
    assert set(denial["Action"]) == CHANGES
    assert denial["Resource"] == "*"
    assert "Condition" not in denial


def test_only_the_projector_may_put_an_audit_row(stage: Synthesized) -> None:
    denial = _policy(stage)["OneWriter"]
    assert (denial["Effect"], denial["Principal"]) == ("Deny", {"AWS": "*"})
    assert set(denial["Action"]) == {"dynamodb:PutItem", "dynamodb:PartiQLInsert"}
    pattern = stage.flat(denial["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert pattern.endswith(f":role/{stage.stacks['ledger'].stack_name}-ProjectRole*")
    roles = stage.templates["ledger"]["Resources"]
    assert any(logical_id.startswith("ProjectRole") for logical_id in roles)


def test_only_a_deployment_may_change_the_tables_policy(stage: Synthesized) -> None:
    denial = _policy(stage)["ChangedByDeploymentsOnly"]
    assert (denial["Effect"], denial["Principal"]) == ("Deny", {"AWS": "*"})
    assert {
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:DeleteTable",
        "dynamodb:PutResourcePolicy",
        "dynamodb:UpdateTable",
        "dynamodb:UpdateTimeToLive",
    } < set(denial["Action"])
    pattern = stage.flat(denial["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert pattern.endswith(":role/cdk-*-cfn-exec-role-*")


def test_no_other_table_has_a_policy_of_its_own(stage: Synthesized) -> None:
    tables = [t for t in stage.all("AWS::DynamoDB::Table") if "ResourcePolicy" in t.properties]
    assert [table.logical_id for table in tables] == ["AuditLogTable"]


def test_no_function_may_change_or_delete_an_audit_row(stage: Synthesized) -> None:
    writers = set()
    for service in stage.functions():
        actions = {
            action
            for statement in stage.statements_of(service)
            for action in statement["Action"]
            if any(
                resource.startswith("${AuditLogTable.Arn}") for resource in statement["Resource"]
            )
        }
        assert not actions & CHANGES, service
        if "dynamodb:PutItem" in actions:
            writers.add(service)
    assert writers == {"project"}


def test_no_principal_may_delete_or_unlock_an_archived_object(stage: Synthesized) -> None:
    for service in stage.functions():
        for statement in stage.statements_of(service):
            if any("AuditBucket" in resource for resource in statement["Resource"]):
                assert set(statement["Action"]) <= {"s3:PutObject", "s3:GetObject", "s3:ListBucket"}


def test_only_the_archive_may_put_objects_into_its_bucket(stage: Synthesized) -> None:
    (policy,) = (
        each.properties["PolicyDocument"]["Statement"]
        for each in stage.all("AWS::S3::BucketPolicy")
        if each.properties["Bucket"]["Ref"].startswith("AuditBucket")
    )
    (denial,) = (statement for statement in policy if statement.get("Sid") == "OneArchivist")
    assert (denial["Effect"], denial["Principal"]) == ("Deny", {"AWS": "*"})
    assert set(denial["Action"]) == {"s3:PutObject", "s3:DeleteObject"}
    assert stage.flat(denial["Resource"]).endswith("/*")
    pattern = stage.flat(denial["Condition"]["ArnNotLike"]["aws:PrincipalArn"])
    assert pattern.endswith(f":role/{stage.stacks['audit'].stack_name}-ArchiveRole*")


def test_the_audit_logs_stream_is_archived_within_a_minute_and_no_record_is_dropped(
    stage: Synthesized,
) -> None:
    (source,) = (s for s in stage.all("AWS::Lambda::EventSourceMapping") if s.stack == "audit")
    properties = source.properties
    assert stage.flat(properties["EventSourceArn"]) == "${AuditLogTable.StreamArn}"
    assert properties["StartingPosition"] == "TRIM_HORIZON"
    assert "FilterCriteria" not in properties
    assert properties["MaximumBatchingWindowInSeconds"] <= 60
    assert properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert properties["BisectBatchOnFunctionError"] is True
    destination = stage.flat(properties["DestinationConfig"]["OnFailure"]["Destination"])
    assert destination.startswith("${FailedBatchesBucket")
    metrics = [
        alarm.properties.get("MetricName")
        for alarm in stage.all("AWS::CloudWatch::Alarm")
        if alarm.stack == "audit"
    ]
    assert metrics.count("OnFailureDestinationDeliveredEventCount") == 1
    assert metrics.count("IteratorAge") == 1
    assert metrics.count("AuditTampered") == 1


def test_tampering_triggers_an_alarm(stage: Synthesized) -> None:
    group = stage.functions()["archive"].properties["LoggingConfig"]["LogGroup"]
    (lines,) = (
        each
        for each in stage.all("AWS::Logs::MetricFilter")
        if each.properties["LogGroupName"] == group
    )
    assert f'"{AUDIT_TAMPERED}"' in lines.properties["FilterPattern"]


def test_a_failed_archive_run_is_kept_and_the_outputs_name_its_function(
    stage: Synthesized,
) -> None:
    (config,) = (c for c in stage.all("AWS::Lambda::EventInvokeConfig") if c.stack == "audit")
    kept = stage.flat(config.properties["DestinationConfig"]["OnFailure"]["Destination"])
    rights = [s for s in stage.statements_of("archive") if s["Action"] == ["sqs:SendMessage"]]
    assert [listed(s["Resource"]) for s in rights] == [[kept]]
    functions = stage.output("audit", "Functions")
    assert set(functions) == {"archive"}
    assert stage.output("audit", "Schedules") == {
        "archive": {"function": functions["archive"], "event": {"schedule": "archive"}}
    }
