"""Backups in a vault apart from the data: which tables and buckets, how often, and by whose right.

A new table is backed up unless it is listed here with the reason why not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aws_cdk import CfnElement, Duration, Stack
from aws_cdk import aws_backup as backup
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from stacks.constructs.acknowledge import acknowledge
from stacks.constructs.alarms import Alarms
from stacks.constructs.customer_key import CustomerKey
from stacks.constructs.queues import DeadLetterQueue
from stacks.constructs.schema_table import SchemaTable
from stacks.iam.backup_statements import (
    WILDCARDS,
    bucket_backup_statements,
    key_statements,
    table_backup_statements,
    vault_statements,
)
from stacks.runbooks import Runbook
from stacks.stage import StageConfig
from stacks.stage_protection import BackupConfig

IN_BACKUP_PLAN: Final = "NIST.800.53.R5-DynamoDBInBackupPlan"
MADE_AGAIN: Final[Mapping[str, str]] = {
    "exports": "Not backed up: exports are kept for a week, and can be requested again.",
    "idempotency": "Not backed up: rows are kept for a day, and the payment keeps its key forever.",
    "limits": "Not backed up: counters of payments per minute and day, kept for a day.",
    "proofs": "Not backed up: the next full ledger verification makes its rows again.",
    "scheduled_runs": "Not backed up: the next run of each schedule writes its row again.",
    "stream_progress": "Not backed up: the next batch of each change stream writes its row again.",
    "sandbox_charges": "Not backed up: charges of the sandbox processor, which move no money.",
    "totals": "Not backed up: make rebuild-totals makes them again from the payments.",
}
"""Tables without backups, and why that loses nothing."""
FORGOTTEN: Final = ("customers", "keys")
"""Tables with only daily backups. Erasing a customer deletes the keys of its personal fields; in an
older copy of these tables the keys, and the index of the e-mail address, would still be there."""

DAILY: Final = events.Schedule.cron(hour="3", minute="0")
MONTHLY: Final = events.Schedule.cron(day="1", hour="5", minute="0")
"""UTC, when there are few payments in Europe and America; reading a backup slows nothing down."""
START_WITHIN: Final = Duration.hours(2)
COMPLETE_WITHIN: Final = Duration.hours(24)
FAILED: Final = ("ABORTED", "EXPIRED", "FAILED")
"""States in which a job has made no backup (AWS Backup Developer Guide, "Monitoring AWS Backup
events using Amazon EventBridge"). Backup and copy jobs have `state`, restore jobs `status`."""
DELIVERY_ATTEMPTS: Final = 3
OLDEST_DELIVERED_HOURS: Final = 24


class Backups(Construct):
    """A vault with its own key, plans by the day and by the month, and an alarm on failed jobs.

    The key is the vault's alone: a table's key that is deleted takes the table with it, but not
    its backups.
    """

    def __init__(  # noqa: PLR0913 - what is backed up, and with which key
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: BackupConfig,
        stage: StageConfig,
        tables: Mapping[str, SchemaTable],
        bucket: s3.IBucket,
        key: kms.IKey,
        alarms: Alarms,
    ) -> None:
        super().__init__(scope, construct_id)
        self._config, self._stage, self._bucket = config, stage, bucket
        for name, reason in MADE_AGAIN.items():
            acknowledge(tables[name], IN_BACKUP_PLAN, reason)
        self._tables = {name: t for name, t in tables.items() if name not in MADE_AGAIN}
        vault_key = CustomerKey(self, "BackupKey", purpose="backups of the data", stage=stage).key
        self.vault = self._vault(vault_key)
        role = self._role(key, vault_key)
        lasting = {name: t for name, t in self._tables.items() if name not in FORGOTTEN}
        self._plan("Daily", DAILY, config.daily_kept_days, self._tables, role)
        self._plan("Monthly", MONTHLY, config.monthly_kept_days, lasting, role)
        self._watch(key, alarms)

    def _vault(self, key: kms.IKey) -> backup.BackupVault:
        config, lock = self._config, None
        if config.lock != "none":
            grace = config.lock_grace_days if config.lock == "compliance" else None
            lock = backup.LockConfiguration(
                min_retention=Duration.days(config.daily_kept_days),
                max_retention=Duration.days(config.monthly_kept_days),
                changeable_for=Duration.days(grace) if grace else None,
            )
        return backup.BackupVault(
            self,
            "Vault",
            backup_vault_name=f"payments-{self._stage.name}",
            encryption_key=key,
            lock_configuration=lock,
            removal_policy=self._stage.data.removal_policy,
        )

    def _role(self, key: kms.IKey, vault_key: kms.IKey) -> iam.Role:
        tables = [each.table.table_arn for each in self._tables.values()]
        # Of its own: IAM stores at most 6,144 characters of one policy.
        on_tables = iam.ManagedPolicy(
            self,
            "TablesPolicy",
            description="What AWS Backup may do with tables",
            statements=table_backup_statements(tables),
        )
        elsewhere = iam.ManagedPolicy(
            self,
            "Policy",
            description="What AWS Backup may do but for tables",
            statements=[
                *bucket_backup_statements(self._bucket.bucket_arn),
                *key_statements(key.key_arn, vault_key.key_arn),
                *vault_statements(self.vault.backup_vault_arn, self._config.copy_to),
            ],
        )
        self._acknowledge_wildcards(on_tables, elsewhere)
        return iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("backup.amazonaws.com"),
            managed_policies=[on_tables, elsewhere],
        )

    def _acknowledge_wildcards(
        self, on_tables: iam.ManagedPolicy, elsewhere: iam.ManagedPolicy
    ) -> None:
        rule = "AwsSolutions-IAM5[Resource::{}]"
        for each in self._tables.values():
            acknowledge(
                on_tables,
                rule.format(f"<{_logical_id(each.table)}.Arn>/backup/*"),
                "DynamoDB names the backups of a table.",
            )
        bucket = _logical_id(self._bucket)
        wildcards = {f"<{bucket}.Arn>/*": "All files of the bucket are backed up.", **WILDCARDS}
        for wildcard, reason in wildcards.items():
            acknowledge(elsewhere, rule.format(wildcard), reason)

    def _plan(
        self,
        name: str,
        schedule: events.Schedule,
        kept_days: int,
        tables: Mapping[str, SchemaTable],
        role: iam.IRole,
    ) -> None:
        kept, copies = Duration.days(kept_days), None
        if self._config.copy_to is not None:
            other = backup.BackupVault.from_backup_vault_arn(
                self, f"{name}Copies", self._config.copy_to
            )
            copies = [
                backup.BackupPlanCopyActionProps(destination_backup_vault=other, delete_after=kept)
            ]
        plan = backup.BackupPlan(
            self,
            name,
            backup_plan_name=f"payments-{self._stage.name}-{name.lower()}",
            backup_vault=self.vault,
            backup_plan_rules=[
                backup.BackupPlanRule(
                    rule_name=name.lower(),
                    completion_window=COMPLETE_WITHIN,
                    copy_actions=copies,
                    delete_after=kept,
                    schedule_expression=schedule,
                    start_window=START_WITHIN,
                )
            ],
        )
        resources = [*(each.table.table_arn for each in tables.values()), self._bucket.bucket_arn]
        plan.add_selection(
            "Selection",
            backup_selection_name=f"payments-{self._stage.name}",
            disable_default_backup_policy=True,
            resources=[backup.BackupResource.from_arn(arn) for arn in resources],
            role=role,
        )

    def _watch(self, key: kms.IKey, alarms: Alarms) -> None:
        """Keep the event of a job that failed until a person has looked at it."""
        failed = DeadLetterQueue(
            self,
            "FailedJobs",
            key=key,
            alarms=alarms,
            waiting="A backup, or a copy of one, was not made.",
            runbook=Runbook.BACKUP_FAILED,
        ).queue
        rule = events.Rule(
            self,
            "JobFailed",
            description="Jobs of AWS Backup that made no backup or no copy of it",
            event_pattern=events.EventPattern(
                source=["aws.backup"],
                detail_type=["Backup Job State Change", "Copy Job State Change"],
                detail={
                    "state": list(FAILED),
                    # A backup job names its vault in the first field, a copy job in the second.
                    "$or": [
                        {"backupVaultName": [self.vault.backup_vault_name]},
                        {"sourceBackupVaultArn": [self.vault.backup_vault_arn]},
                    ],
                },
            ),
            targets=[
                targets.SqsQueue(
                    failed,
                    # The same one: what could not be delivered at first waits for the same person.
                    dead_letter_queue=failed,
                    max_event_age=Duration.hours(OLDEST_DELIVERED_HOURS),
                    retry_attempts=DELIVERY_ATTEMPTS,
                )
            ],
        )
        alarms.undelivered(rule, rule=rule)


def _logical_id(construct: IConstruct) -> str:
    """Of the resource that a construct of the CDK is made of."""
    resource = construct.node.default_child
    assert isinstance(resource, CfnElement)  # noqa: S101 - one resource is what it is
    logical_id: str = Stack.of(resource).resolve(resource.logical_id)
    return logical_id
