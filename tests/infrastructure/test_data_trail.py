"""Who touches tables and buckets directly is recorded, kept, and found by the runbook's query."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from local.docs import QUERY_PART, query_block
from local.marked_parts import with_part
from runtime.tables import ALL_TABLES
from stacks.constructs.alarms import Alarms
from stacks.constructs.schema_table import SchemaTable, table_logical_id
from stacks.data_trail import QUERY, DataTrail
from stacks.stage import StageConfig, StageError
from stacks.stage_protection import TrailConfig
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import (
    ROOT,
    Json,
    Resource,
    Synthesized,
    cdk_json_context,
)

TRAIL = "arn:${AWS::Partition}:cloudtrail:${AWS::Region}:${AWS::AccountId}:trail/payments-prod"
OUR_ROLES = "arn:${AWS::Partition}:sts::${AWS::AccountId}:assumed-role/payments-prod-"

# TransactWriteItems as DynamoDB records it (DynamoDB Developer Guide, "Understanding DynamoDB log
# file entries"), with a row of ours.
RECORDED = {
    "eventTime": "2026-12-01T21:48:12Z",
    "eventSource": "dynamodb.amazonaws.com",
    "eventName": "TransactWriteItems",
    "eventID": "5b1f2a0e-5d9c-4c7e-8d0a-6d1d1c0f5a11",
    "sourceIPAddress": "192.0.2.0",
    "userAgent": "aws-cli/2.31",
    "errorCode": "TransactionCanceledException",
    "userIdentity": {"arn": "arn:aws:sts::111122223333:assumed-role/users/bob"},
    "requestParameters": {
        "requestItems": [
            {"operation": "Put", "tableName": "accounts", "key": {"account_id": "acc_1#00"}}
        ]
    },
}


@pytest.fixture(scope="session")
def existing(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev, whose data events another trail of the account records."""
    context = copy.deepcopy(cdk_json_context())
    context["stages"]["dev"]["trail"] = {"mode": "existing", "log_group": "organization/events"}
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-trail"), context)


def _trail(stage: Synthesized) -> Resource:
    (trail,) = stage.all("AWS::CloudTrail::Trail")
    return trail


def _selectors(stage: Synthesized) -> dict[str, dict[str, Json]]:
    """By name: of each field its operator and values, as flat strings."""
    return {
        selector["Name"]: {
            field["Field"]: {
                operator: [stage.flat(value) for value in values]
                for operator, values in field.items()
                if operator != "Field"
            }
            for field in selector["FieldSelectors"]
        }
        for selector in _trail(stage).properties["AdvancedEventSelectors"]
    }


def test_rows_of_every_table_are_recorded_unless_the_platform_touches_them(
    prod: Synthesized,
) -> None:
    rows = _selectors(prod)["Rows"]
    assert rows["eventCategory"] == {"Equals": ["Data"]}
    assert rows["resources.type"] == {"Equals": ["AWS::DynamoDB::Table"]}
    tables = {f"${{{table_logical_id(schema.name)}.Arn}}" for schema in ALL_TABLES}
    assert set(rows["resources.ARN"]["StartsWith"]) == tables
    assert rows["userIdentity.arn"] == {"NotStartsWith": [OUR_ROLES]}
    assert "readOnly" not in rows


def test_objects_of_every_bucket_are_recorded_but_not_what_records_them(prod: Synthesized) -> None:
    objects = _selectors(prod)["Objects"]
    assert objects["resources.type"] == {"Equals": ["AWS::S3::Object"]}
    buckets = {
        re.sub(r"[0-9A-F]{8}\.Arn", "", arn) for arn in objects["resources.ARN"]["StartsWith"]
    }
    assert buckets == {
        "${AuditBucket}/",
        "${ExportBucket}/",
        "${FailedBatchesBucket}/",
        "${SettlementBucket}/",
    }


def test_every_role_of_a_function_is_left_out_by_its_name(prod: Synthesized) -> None:
    roles = [role for role in prod.all("AWS::IAM::Role") if "RoleName" in role.properties]
    assert roles == [], "CloudFormation names them after the stack, which the filter relies on"
    stacks = {function.stack for function in prod.functions().values()}
    names = [prod.stacks[stack].stack_name for stack in stacks]
    assert all(name.startswith("payments-prod-") for name in names)


def test_a_schedule_leaves_an_event_in_every_run_and_silence_pages(prod: Synthesized) -> None:
    heartbeat = _selectors(prod)["Heartbeat"]
    assert heartbeat["resources.ARN"] == {"StartsWith": ["${TotalsTable.Arn}"]}
    assert heartbeat["eventName"] == {"Equals": ["Query"]}
    (role,) = heartbeat["userIdentity.arn"]["StartsWith"]
    assert role == f"{OUR_ROLES}ledger-TotalsRole"
    totals = prod.functions()["totals"]
    assert totals.properties["Role"]["Fn::GetAtt"][0].startswith("TotalsRole")
    assert any("dynamodb:Query" in each["Action"] for each in prod.statements_of("totals"))
    (alarm,) = (
        each
        for each in prod.all("AWS::CloudWatch::Alarm")
        if each.properties["AlarmName"] == "payments-prod-data-trail-silent"
    )
    properties = alarm.properties
    assert (properties["Namespace"], properties["MetricName"]) == ("AWS/Logs", "IncomingLogEvents")
    assert properties["ComparisonOperator"] == "LessThanThreshold"
    assert (properties["Threshold"], properties["TreatMissingData"]) == (1, "breaching")
    # Three hourly runs, and time to deliver.
    assert properties["Period"] == 4 * 3600
    assert "PageAlarms" in str(properties["AlarmActions"])


def test_the_trail_delivers_to_its_locked_bucket_and_its_log_group(prod: Synthesized) -> None:
    trail = _trail(prod)
    properties = trail.properties
    assert properties["IsLogging"] is True
    assert properties["EnableLogFileValidation"] is True
    assert prod.flat(properties["KMSKeyId"]).startswith("${DataTrailTrailKey")
    buckets = prod.templates["data"]["Resources"]
    bucket = buckets[properties["S3BucketName"]["Ref"]]["Properties"]
    assert bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {
        "Mode": "COMPLIANCE",
        "Days": 365,
    }
    group = prod.flat(properties["CloudWatchLogsLogGroupArn"])
    assert group.startswith("${DataTrailEvents")
    assert any(
        each.startswith("DataTrailDeliveredBucketPolicy") for each in trail.body["DependsOn"]
    )


def test_only_this_trail_writes_into_the_bucket(prod: Synthesized) -> None:
    (policy,) = (
        each
        for each in prod.all("AWS::S3::BucketPolicy")
        if each.logical_id.startswith("DataTrailDeliveredBucketPolicy")
    )
    allowed = {
        each["Action"]: each
        for each in policy.properties["PolicyDocument"]["Statement"]
        if each["Principal"] == {"Service": "cloudtrail.amazonaws.com"}
    }
    assert allowed.keys() == {"s3:GetBucketAcl", "s3:PutObject"}
    for statement in allowed.values():
        assert prod.flat(statement["Condition"]["StringEquals"]["aws:SourceArn"]) == TRAIL
    assert prod.flat(allowed["s3:PutObject"]["Resource"]).endswith("/AWSLogs/${AWS::AccountId}/*")


def test_the_key_is_used_by_this_trail_and_by_logs_of_this_account(prod: Synthesized) -> None:
    (key,) = (
        each
        for each in prod.all("AWS::KMS::Key")
        if each.logical_id.startswith("DataTrailTrailKey")
    )
    statements = {
        each["Sid"]: each for each in key.properties["KeyPolicy"]["Statement"] if "Sid" in each
    }
    assert statements.keys() == {"CloudWatchLogs", "TrailEncrypts"}
    trail = statements["TrailEncrypts"]
    assert prod.flat(trail["Condition"]["StringEquals"]["aws:SourceArn"]) == TRAIL
    assert set(trail["Action"]) == {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}


def test_the_role_writes_only_into_its_log_group(prod: Synthesized) -> None:
    resources = prod.templates["data"]["Resources"]
    role = resources[_trail(prod).properties["CloudWatchLogsRoleArn"]["Fn::GetAtt"][0]]
    (policy,) = role["Properties"]["ManagedPolicyArns"]
    (statement,) = resources[policy["Ref"]]["Properties"]["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert prod.flat(statement["Resource"]).startswith("${DataTrailEvents")
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert prod.flat(trust["Condition"]["StringEquals"]["aws:SourceArn"]) == TRAIL


def test_functions_are_recorded_where_the_stage_asks_for_it() -> None:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages["dev"]["schedules"] = {"totals_minutes": 1440}
    stage = StageConfig.named("dev", stages)
    stack = cdk.Stack(cdk.App())
    key = kms.Key(stack, "Key")
    totals = next(schema for schema in ALL_TABLES if schema.name == "totals")
    DataTrail(
        stack,
        "DataTrail",
        config=TrailConfig(mode="own", functions=True),
        stage=stage,
        tables={"totals": SchemaTable(stack, "Totals", schema=totals, key=key, data=stage.data)},
        buckets=[s3.Bucket(stack, "Files")],
        access_logs=s3.Bucket(stack, "AccessLogs"),
        alarms=Alarms("dev", "docs/operations.md", {}),
    )
    template = Template.from_stack(stack)
    (trail,) = template.find_resources("AWS::CloudTrail::Trail").values()
    fields = {
        selector["Name"]: [field["Field"] for field in selector["FieldSelectors"]]
        for selector in trail["Properties"]["AdvancedEventSelectors"]
    }
    assert (
        fields["Rows"] == fields["Objects"] == ["eventCategory", "resources.type", "resources.ARN"]
    )
    # An alarm counts over a day at the most, in which such a schedule runs once.
    (alarm,) = template.find_resources("AWS::CloudWatch::Alarm").values()
    assert alarm["Properties"]["Period"] == 24 * 3600


def _trail_queries(stage: Synthesized) -> list[Resource]:
    """Queries of other stacks read the functions' logs."""
    queries = stage.all("AWS::Logs::QueryDefinition")
    return [query for query in queries if query.stack == "data"]


def test_the_query_is_saved_for_the_log_group_and_is_the_one_of_the_runbook(
    prod: Synthesized, existing: Synthesized
) -> None:
    assert existing.findings == ()
    (own,) = _trail_queries(prod)
    (group,) = own.properties["LogGroupNames"]
    assert prod.flat(group).startswith("${DataTrailEvents")
    (other,) = _trail_queries(existing)
    assert other.properties["LogGroupNames"] == ["organization/events"]
    assert own.properties["QueryString"] == other.properties["QueryString"] == QUERY
    assert existing.all("AWS::CloudTrail::Trail") == []
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    assert with_part(page, QUERY_PART, query_block()) == page, "stale: run make docs"


def test_the_query_shows_fields_that_a_recorded_call_has_and_finds_its_row() -> None:
    fields, condition, *_ = QUERY.splitlines()
    for name in fields.removeprefix("fields ").split(", "):
        value: object = RECORDED
        for part in name.split("."):
            assert isinstance(value, dict)
            value = value[part]
        assert value
    assert condition == '| filter @message like "ID"'
    assert "acc_1" in str(RECORDED)


def test_a_stage_without_the_setting_has_no_trail(synthesize: Synthesize) -> None:
    stage = synthesize("local")
    assert stage.all("AWS::CloudTrail::Trail") == []
    assert _trail_queries(stage) == []


def test_the_runbooks_say_what_is_missing_without_a_trail() -> None:
    operations = (ROOT / "docs/operations.md").read_text("utf-8")
    links = re.findall(r"\(#who-touched-a-row-or-an-object\)", operations)
    assert len(links) == 3
    section = operations.partition("### Who touched a row or an object\n")[2]
    assert "they do not exist" in section.partition("\n### ")[0]
    assert "cannot say who edited" in (ROOT / "docs/security.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"mode": "existing", "kept_days": 90}, 'mode "existing" has no use for kept_days'),
        ({"mode": "own", "log_group": "events"}, 'mode "own" has no use for log_group'),
        ({"mode": "own", "kept_days": 30}, "greater than or equal to 90"),
        ({"mode": "off"}, "Input should be 'own' or 'existing'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: Json, complaint: str) -> None:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages["prod"]["trail"] = settings
    with pytest.raises(StageError, match=re.escape(complaint)):
        StageConfig.named("prod", stages)
