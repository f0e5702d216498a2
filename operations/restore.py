"""`make restore`: all tables of a stage as they were at one instant, under new names.

DynamoDB restores a table to a new one, without its change stream, time to live, point-in-time
recovery, protection from deletion, policy and tags (Amazon DynamoDB Developer Guide, "Restoring a
table to a point in time"). They are copied from the original, so that the new tables can take its
place. The originals are only read. The same call again goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from local.errors import LocalError
from local.progress import Progress
from runtime.tables import restored_table_name

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

POLL_SECONDS: Final = 15.0
"""Between two looks at tables that are being restored: an empty one takes minutes, too."""
LONGEST_HOURS: Final = 24
"""How long a restore is waited for; call it again to wait on."""


class CannotRestore(LocalError):
    """The tables cannot be restored to the instant that was asked for."""


@dataclass(frozen=True)
class RestoreTarget:
    """Where to restore. `tables`: physical names by role; `sleep`: how to wait, in seconds."""

    stage: str
    tables: Mapping[str, str]
    client: DynamoDBClient
    sleep: Callable[[float], None]


def restore(target: RestoreTarget, moment: datetime, name: str, progress: Progress) -> list[str]:
    """Restore every table to `moment`, and return the new tables' names.

    All tables are checked before the first restore begins: one that cannot be restored to the
    instant would leave tables of different times.

    Raises:
        CannotRestore: a table was not recoverable at `moment`, or was not restored in time.
    """
    _require_recoverable(target, moment)
    names = {
        source: restored_table_name(target.stage, role, name)
        for role, source in target.tables.items()
    }
    for source, restored in names.items():
        if _description(target.client, restored) is None:
            with progress.step(f"{restored}: restoring"):
                target.client.restore_table_to_point_in_time(
                    SourceTableName=source, TargetTableName=restored, RestoreDateTime=moment
                )
    for source, restored in names.items():
        with progress.step(f"{restored}: ready"):
            _wait_until_active(target, restored)
            _copy_settings(target, source, restored)
    return sorted(names.values())


def _require_recoverable(target: RestoreTarget, moment: datetime) -> None:
    problems = [
        f"{table}: {problem}"
        for table in target.tables.values()
        if (problem := _problem(target.client, table, moment)) is not None
    ]
    if problems:
        raise CannotRestore(
            f"The stage cannot be restored to {_shown(moment)}. {'; '.join(problems)}.",
            hint="Choose an instant at which every table is recoverable, in UTC.",
        )


def _problem(client: DynamoDBClient, table: str, moment: datetime) -> str | None:
    backups = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
        return "point-in-time recovery is off"
    earliest = recovery.get("EarliestRestorableDateTime")
    latest = recovery.get("LatestRestorableDateTime")
    if earliest is not None and moment < earliest:
        return f"recoverable from {_shown(earliest)} on"
    if latest is not None and moment > latest:
        return f"recoverable until {_shown(latest)}"
    return None


def _wait_until_active(target: RestoreTarget, table: str) -> None:
    for _ in range(int(LONGEST_HOURS * 3600 / POLL_SECONDS)):
        found = _description(target.client, table)
        if found is not None and _is_at_rest(found):
            return
        target.sleep(POLL_SECONDS)
    raise CannotRestore(
        f"The table {table} was not restored within {LONGEST_HOURS} hours.",
        hint="Run the command again: it goes on waiting.",
    )


def _is_at_rest(table: TableDescriptionTypeDef) -> bool:
    indexes = table.get("GlobalSecondaryIndexes", ())
    return table.get("TableStatus") == "ACTIVE" and all(
        index.get("IndexStatus") == "ACTIVE" for index in indexes
    )


def _copy_settings(target: RestoreTarget, source: str, restored: str) -> None:
    """Give the new table what a restore leaves out, one change of the table at a time."""
    client = target.client
    wanted, found = _described(client, source), _described(client, restored)
    if _policy(client, found["TableArn"]) is not None:
        return  # It comes last, and may deny what comes before it.
    stream = wanted.get("StreamSpecification")
    if stream and stream.get("StreamEnabled") and not found.get("LatestStreamArn"):
        client.update_table(TableName=restored, StreamSpecification=stream)
        _wait_until_active(target, restored)
    expiry = client.describe_time_to_live(TableName=source)["TimeToLiveDescription"]
    attribute = expiry.get("AttributeName")
    ours = client.describe_time_to_live(TableName=restored)["TimeToLiveDescription"]
    if attribute is not None and ours.get("AttributeName") != attribute:
        client.update_time_to_live(
            TableName=restored,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute},
        )
    client.update_continuous_backups(
        TableName=restored, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    if wanted.get("DeletionProtectionEnabled") and not found.get("DeletionProtectionEnabled"):
        client.update_table(TableName=restored, DeletionProtectionEnabled=True)
        _wait_until_active(target, restored)
    _copy_tags_and_policy(client, wanted["TableArn"], found["TableArn"])


def _copy_tags_and_policy(client: DynamoDBClient, source: str, restored: str) -> None:
    tags = [
        tag
        for tag in client.list_tags_of_resource(ResourceArn=source).get("Tags", [])
        # Tags of AWS itself cannot be set.
        if not tag["Key"].startswith("aws:")
    ]
    if tags:
        client.tag_resource(ResourceArn=restored, Tags=tags)
    policy = _policy(client, source)
    if policy is not None:
        client.put_resource_policy(ResourceArn=restored, Policy=policy.replace(source, restored))


def _policy(client: DynamoDBClient, arn: str) -> str | None:
    try:
        return client.get_resource_policy(ResourceArn=arn)["Policy"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "PolicyNotFoundException":
            return None
        raise


def _described(client: DynamoDBClient, table: str) -> TableDescriptionTypeDef:
    return client.describe_table(TableName=table)["Table"]


def _description(client: DynamoDBClient, table: str) -> TableDescriptionTypeDef | None:
    try:
        return _described(client, table)
    except client.exceptions.ResourceNotFoundException:
        return None


def next_steps(stage: str, name: str) -> Iterator[str]:
    """What comes after a restore, as lines of text."""
    yield f"The tables end in -{name}. Verify them, then let the stacks use them:"
    for command in ("rebuild-balances", "rebuild-totals"):
        yield f'  make {command} ARGS="--stage {stage} --restored {name}"'
    yield f'  cdk.json: add "{name}" to stages.{stage}.data.restored'
    yield f"  npx cdk import payments-{stage}-data --force --context stage={stage}"
    yield "  docs/runbooks/restore.md has the steps in order, and what each is for."


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
