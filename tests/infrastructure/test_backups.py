"""What cannot be made again is copied into a vault that is hard to empty."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from runtime.tables import ALL_TABLES
from stacks.backups import FORGOTTEN, MADE_AGAIN
from stacks.constructs.schema_table import table_logical_id
from stacks.stage import StageConfig, StageError
from tests.infrastructure.conftest import Synthesize
from tests.infrastructure.synthesized import Json, Synthesized, cdk_json_context, listed

OTHER_VAULT = "arn:aws:backup:eu-west-1:123456789012:backup-vault:copies"


@pytest.fixture(scope="session")
def copied(asset: Path, tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    """The stage dev with a lock that becomes permanent, and copies in another region."""
    context = copy.deepcopy(cdk_json_context())
    settings = {"lock": "compliance", "lock_grace_days": 5, "copy_to": OTHER_VAULT}
    context["stages"]["dev"]["backup"] = settings
    return Synthesized.make("dev", asset, tmp_path_factory.mktemp("cdk-backup"), context)


def _plans(stage: Synthesized) -> dict[str, Json]:
    """Of each plan its only rule and the resources of its selection, by the plan's name."""
    selections = {
        stage.flat(each.properties["BackupPlanId"]).split(".")[0].strip("${"): each.properties
        for each in stage.all("AWS::Backup::BackupSelection")
    }
    plans = {}
    for plan in stage.all("AWS::Backup::BackupPlan"):
        body = plan.properties["BackupPlan"]
        (rule,) = body["BackupPlanRule"]
        chosen = selections[plan.logical_id]["BackupSelection"]
        plans[body["BackupPlanName"].rpartition("-")[2]] = {
            "rule": rule,
            "resources": {stage.flat(arn) for arn in chosen["Resources"]},
            "role": stage.flat(chosen["IamRoleArn"]),
        }
    return plans


def _tables(*left_out: str) -> set[str]:
    return {
        f"${{{table_logical_id(schema.name)}.Arn}}"
        for schema in ALL_TABLES
        if schema.name not in left_out
    }


def test_every_table_is_backed_up_daily_unless_its_rows_can_be_made_again(
    prod: Synthesized,
) -> None:
    plan = _plans(prod)["daily"]
    tables = {arn for arn in plan["resources"] if "Table" in arn}
    assert tables == _tables(*MADE_AGAIN)
    assert plan["rule"]["Lifecycle"] == {"DeleteAfterDays": 7}
    assert plan["rule"]["ScheduleExpression"] == "cron(0 3 * * ? *)"


def test_a_year_of_monthly_backups_holds_no_keys_of_erased_customers(prod: Synthesized) -> None:
    plan = _plans(prod)["monthly"]
    tables = {arn for arn in plan["resources"] if "Table" in arn}
    assert tables == _tables(*MADE_AGAIN, *FORGOTTEN)
    assert plan["rule"]["Lifecycle"] == {"DeleteAfterDays": 365}
    assert plan["rule"]["ScheduleExpression"] == "cron(0 5 1 * ? *)"


def test_settlement_files_are_backed_up_and_other_buckets_are_not(prod: Synthesized) -> None:
    for plan in _plans(prod).values():
        (bucket,) = (arn for arn in plan["resources"] if "Bucket" in arn)
        assert bucket.startswith("${SettlementBucket")


def test_tables_without_backups_exist_and_each_says_why(prod: Synthesized) -> None:
    names = {schema.name for schema in ALL_TABLES}
    assert set(MADE_AGAIN) < names
    assert set(FORGOTTEN) < names - set(MADE_AGAIN)


def test_the_vault_of_production_is_locked_and_has_a_key_of_its_own(prod: Synthesized) -> None:
    (vault,) = prod.all("AWS::Backup::BackupVault")
    assert vault.properties["LockConfiguration"] == {
        "MinRetentionDays": 7,
        "MaxRetentionDays": 365,
    }
    assert prod.flat(vault.properties["EncryptionKeyArn"]).startswith("${BackupsBackupKey")
    assert vault.body["DeletionPolicy"] == "RetainExceptOnCreate"
    assert vault.properties["BackupVaultName"] == "payments-prod"


def test_a_lock_in_compliance_mode_becomes_permanent_after_the_grace(copied: Synthesized) -> None:
    assert copied.findings == ()
    (vault,) = copied.all("AWS::Backup::BackupVault")
    assert vault.properties["LockConfiguration"]["ChangeableForDays"] == 5


def test_every_backup_is_copied_if_the_stage_says_where(copied: Synthesized) -> None:
    for name, days in (("daily", 7), ("monthly", 365)):
        (action,) = _plans(copied)[name]["rule"]["CopyActions"]
        assert action == {
            "DestinationBackupVaultArn": OTHER_VAULT,
            "Lifecycle": {"DeleteAfterDays": days},
        }


def _allowed(stage: Synthesized) -> dict[str, set[str]]:
    """Actions of the role of the backups, with their resources."""
    resources = stage.templates["data"]["Resources"]
    (role_arn,) = {plan["role"] for plan in _plans(stage).values()}
    role = resources[role_arn.removeprefix("${").removesuffix(".Arn}")]
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "backup.amazonaws.com"}
    assert "Policies" not in role["Properties"]
    allowed: dict[str, set[str]] = {}
    for policy in role["Properties"]["ManagedPolicyArns"]:
        body = resources[policy["Ref"]]["Properties"]["PolicyDocument"]
        for statement in body["Statement"]:
            for action in listed(statement["Action"]):
                found = {stage.flat(each) for each in listed(statement["Resource"])}
                allowed.setdefault(action, set()).update(found)
    return allowed


def test_the_role_reads_what_is_backed_up_and_writes_only_backups(prod: Synthesized) -> None:
    allowed = _allowed(prod)
    assert allowed["dynamodb:StartAwsBackupJob"] == _tables(*MADE_AGAIN)
    (objects,) = allowed["s3:GetObjectVersion"]
    assert objects.startswith("${SettlementBucket")
    changing = {"Put", "Update", "Delete", "Restore", "Create", "Copy"}
    assert {a for a in allowed if a.partition(":")[2].startswith(tuple(changing))} == {
        *("dynamodb:CreateBackup", "dynamodb:DeleteBackup"),
        *("events:DeleteRule", "events:PutRule", "events:PutTargets"),
        "kms:CreateGrant",
        *("s3:PutBucketNotification", "s3:PutInventoryConfiguration"),
    }
    assert all(arn.endswith("/backup/*") for arn in allowed["dynamodb:DeleteBackup"])
    everything = {action for action, arns in allowed.items() if "*" in arns}
    assert everything == {"cloudwatch:GetMetricData", "events:ListRules", "s3:ListAllMyBuckets"}


def test_only_a_stage_with_copies_may_copy_and_only_there(
    prod: Synthesized, copied: Synthesized
) -> None:
    assert not [action for action in _allowed(prod) if "Copy" in action]
    assert _allowed(copied)["backup:CopyIntoBackupVault"] == {OTHER_VAULT}


def test_a_failed_job_waits_in_a_queue_and_calls_someone(prod: Synthesized) -> None:
    (rule,) = (
        each
        for each in prod.all("AWS::Events::Rule")
        if each.logical_id.startswith("BackupsJobFailed")
    )
    pattern = rule.properties["EventPattern"]
    assert pattern["detail"]["state"] == ["ABORTED", "EXPIRED", "FAILED"]
    assert pattern["detail-type"] == ["Backup Job State Change", "Copy Job State Change"]
    vault, source = pattern["detail"]["$or"]
    assert prod.flat(vault["backupVaultName"][0]).startswith("${BackupsVault")
    assert prod.flat(source["sourceBackupVaultArn"][0]).startswith("${BackupsVault")
    (target,) = rule.properties["Targets"]
    queue = prod.flat(target["Arn"])
    assert queue.startswith("${BackupsFailedJobsQueue")
    (alarm,) = (
        each
        for each in prod.all("AWS::CloudWatch::Alarm")
        if each.properties["AlarmName"] == "payments-prod-backups-failed-jobs-waiting"
    )
    assert "alarm-a-backup-failed" in alarm.properties["AlarmDescription"]
    (dimension,) = alarm.properties["Dimensions"]
    assert prod.flat(dimension["Value"]).split(".")[0] == queue.split(".")[0]


def test_a_stage_without_the_setting_has_no_backups(synthesize: Synthesize) -> None:
    assert synthesize("local").all("AWS::Backup::BackupVault", "AWS::Backup::BackupPlan") == []


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"daily_kept_days": 36}, "daily_kept_days: Input should be less than or equal to 35"),
        ({"monthly_kept_days": 35}, "monthly_kept_days: Input should be greater than 35"),
        ({"lock": "compliance", "lock_grace_days": 2}, "greater than or equal to 3"),
        ({"lock_grace_days": 5}, 'lock_grace_days has no meaning for lock "governance"'),
        ({"copy_to": "payments-copies"}, "copy_to: String should match pattern"),
    ],
)
def test_settings_that_would_lose_or_keep_too_much_are_refused(
    settings: Json, complaint: str
) -> None:
    stages = copy.deepcopy(cdk_json_context()["stages"])
    stages["prod"]["backup"] = settings
    with pytest.raises(StageError, match=complaint):
        StageConfig.named("prod", stages)
