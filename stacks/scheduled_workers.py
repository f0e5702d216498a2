"""Every function that runs on a schedule, by the stack that contains it."""

from __future__ import annotations

from typing import Final

from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from runtime.audit.models import ROOTS_PREFIX, ROWS_PREFIX
from runtime.core.change_context import (
    AUDIT_TAMPERED,
    MISSING_UNFINISHED,
    NOT_COMPACTED,
    NOT_VOIDED,
    POLL_UNFINISHED,
    UNKNOWN_TOO_OLD,
)
from runtime.settings import (
    LONGEST_RUN_SECONDS,
    ArchiveSettings,
    CanarySettings,
    HoldsSettings,
    MissingSettings,
    PollSettings,
    ResolverSettings,
    RetriesSettings,
    RotationSettings,
    TotalsSettings,
    VerifyLedgerSettings,
    canary_secret_name,
)
from runtime.verification.models import LEDGER_VERIFICATION_FAILED
from stacks.base_stack import LogAlarm, ScheduledWorker
from stacks.data import DataStack
from stacks.iam.statements import (
    failed_batches_statements,
    queue_statements,
    read_secret,
    through_service,
)
from stacks.own_metrics import OwnMetric
from stacks.runbooks import Runbook
from stacks.stage import StageConfig
from stacks.stage_workload import Schedules

WHOLE_CPU_MB: Final = 1769
"""Memory with which a function gets one whole virtual CPU (Lambda Developer Guide)."""
LONGEST_TIMEOUT_SECONDS: Final = 900
"""Lambda's longest (Lambda quotas)."""
RESOLVER_TIMEOUT_SECONDS: Final = 120
SHORTEST_BEGIN_SECONDS: Final = 20
"""A run of the resolver starts new work for at least this long, even if it then overlaps with the
next run."""


CANARY: Final = "canary"
"""Its runs are the only ones that are not recorded: it uses no table."""


def _begin_seconds(stage: StageConfig) -> int:
    """How long a run of the resolver starts new work, so that it ends before the next run begins.

    A payment takes at most two calls to the processor.
    """
    interval = min(60 * stage.schedules.resolver_minutes, RESOLVER_TIMEOUT_SECONDS)
    return max(SHORTEST_BEGIN_SECONDS, interval - 2 * stage.processor_timeout_seconds)


def _read_archive(data: DataStack) -> list[iam.PolicyStatement]:
    bucket = data.audit_bucket_arn
    return [
        iam.PolicyStatement(
            sid="Segments", actions=["s3:GetObject"], resources=[f"{bucket}/{ROWS_PREFIX}*"]
        ),
        iam.PolicyStatement(sid="ArchiveBucket", actions=["s3:ListBucket"], resources=[bucket]),
        through_service(data.table_key.key_arn, "s3", ("kms:Decrypt",)),
    ]


PAYMENTS: Final = (
    ScheduledWorker(
        name="resolver",
        module="resolve",
        description="Finishes payments whose request crashed or whose outcome is unknown",
        settings=ResolverSettings,
        values=lambda stage, _: {
            "workers": stage.resolver.workers,
            "workers_per_merchant": stage.resolver.workers_per_merchant,
            "begin_seconds": _begin_seconds(stage),
        },
        data_keys=("pii",),
        minutes=lambda schedules: schedules.resolver_minutes,
        timeout_seconds=RESOLVER_TIMEOUT_SECONDS,
        # Each payment takes about 9 ms of CPU, and a run resolves many at once.
        memory_mb=WHOLE_CPU_MB,
        alarms=(
            LogAlarm(
                construct_id="UnknownTooOld",
                messages=(UNKNOWN_TOO_OLD, NOT_VOIDED),
                metric=OwnMetric.UNKNOWN_TOO_OLD,
                runbook=Runbook.PROCESSOR_SILENT,
                description="A processor does not report an outcome, or refuses a void.",
            ),
        ),
    ),
    ScheduledWorker(
        name="rotation",
        module="rotate_keys",
        description="Encrypts again what old keys encrypted",
        settings=RotationSettings,
        data_keys=("pii", "pci", "index"),
        minutes=lambda schedules: schedules.rotation_minutes,
        timeout_seconds=LONGEST_TIMEOUT_SECONDS,
    ),
    ScheduledWorker(
        name="poll",
        module="poll_processors",
        description="Polls processors for disputes and failed refunds without a notification",
        settings=PollSettings,
        values=lambda stage, _: {"poll_days": stage.processor_events.poll_days},
        data_keys=("pii",),
        minutes=lambda schedules: schedules.poll_minutes,
        timeout_seconds=LONGEST_TIMEOUT_SECONDS,
        alarms=(
            LogAlarm(
                construct_id="PollUnfinished",
                messages=(POLL_UNFINISHED,),
                metric=OwnMetric.POLL_UNFINISHED,
                runbook=Runbook.POLL_UNFINISHED,
                description="One run of the poll does not reach all merchants: schedule it more "
                "often.",
            ),
        ),
    ),
    ScheduledWorker(
        name="missing",
        module="find_unsettled",
        description="Finds transactions that no settlement file has named in time",
        settings=MissingSettings,
        minutes=lambda schedules: schedules.missing_minutes,
        timeout_seconds=LONGEST_TIMEOUT_SECONDS,
        alarms=(
            LogAlarm(
                construct_id="MissingUnfinished",
                messages=(MISSING_UNFINISHED,),
                metric=OwnMetric.MISSING_UNFINISHED,
                runbook=Runbook.MISSING_UNFINISHED,
                description="One run of the sweep for missing transactions does not reach all "
                "merchants: schedule it more often.",
            ),
        ),
    ),
)


def canary(scope: Construct, stage: StageConfig) -> tuple[ScheduledWorker, ...]:
    """The canary, where the stage has one. An operator makes its secret after the deployment."""
    minutes = stage.schedules.canary_minutes
    if minutes is None:
        return ()
    name = canary_secret_name(stage.name)
    arn = secretsmanager.Secret.from_secret_name_v2(scope, "CanarySecret", name).secret_arn
    return (
        ScheduledWorker(
            name=CANARY,
            module="canary",
            description="Uses the API as a client does: pays, refunds and reads",
            settings=CanarySettings,
            values=lambda _stage, _data: {"canary_secret_arn": arn},
            statements=lambda _: [read_secret("Credentials", arn)],
            minutes=lambda _: minutes,
            timed=True,
            timeout_seconds=LONGEST_RUN_SECONDS,
        ),
    )


LEDGER: Final = (
    ScheduledWorker(
        name="holds",
        module="expire_holds",
        description="Releases expired holds",
        settings=HoldsSettings,
        minutes=lambda schedules: schedules.holds_minutes,
        timeout_seconds=120,
    ),
    ScheduledWorker(
        name="totals",
        module="compact_totals",
        description="Compacts the totals of closed days",
        settings=TotalsSettings,
        minutes=lambda schedules: schedules.totals_minutes,
        timeout_seconds=300,
        alarms=(
            LogAlarm(
                construct_id="TotalsNotCompacted",
                messages=(NOT_COMPACTED,),
                metric=OwnMetric.TOTALS_NOT_COMPACTED,
                runbook=Runbook.TOTALS_NOT_COMPACTED,
                description="Totals of closed days are not compacted; summaries read more rows.",
            ),
        ),
    ),
    ScheduledWorker(
        name="proof",
        module="verify_ledger",
        description="Verifies that the ledger balances; continues where the last run stopped",
        settings=VerifyLedgerSettings,
        statements=_read_archive,
        wildcard_resources=lambda data: {
            f"{data.audit_bucket_export}/{ROWS_PREFIX}*": "A segment is named by its content.",
        },
        values=lambda stage, data: {
            "audit_bucket": data.audit_bucket.bucket_name,
            "full_days": stage.schedules.full_proof_days,
            "cut_seconds": stage.proof_cut_seconds,
            "patience_seconds": stage.proof_patience_seconds,
        },
        minutes=lambda schedules: schedules.proof_minutes,
        timeout_seconds=LONGEST_TIMEOUT_SECONDS,
        memory_mb=WHOLE_CPU_MB,
        alarms=(
            LogAlarm(
                construct_id="LedgerVerificationFailed",
                messages=(LEDGER_VERIFICATION_FAILED,),
                metric=OwnMetric.LEDGER_VERIFICATION_FAILED,
                runbook=Runbook.LEDGER_VERIFICATION,
                description="Ledger verification failed; GET /v1/proof lists each violation.",
            ),
        ),
    ),
)


def _send_deliveries(data: DataStack) -> list[iam.PolicyStatement]:
    queue_arn, key_arn = data.deliveries.queue.queue_arn, data.table_key.key_arn
    return queue_statements("Deliveries", queue_arn, key_arn, "SendMessage")


WEBHOOKS: Final = (
    ScheduledWorker(
        name="retries",
        module="queue_due_webhooks",
        description="Queues webhooks that are due",
        settings=RetriesSettings,
        values=lambda _, data: {"delivery_queue_url": data.deliveries.queue.queue_url},
        statements=_send_deliveries,
        minutes=lambda schedules: schedules.retries_minutes,
        timeout_seconds=120,
    ),
)


def _write_archive(data: DataStack) -> list[iam.PolicyStatement]:
    bucket = data.audit_bucket_arn
    return [
        iam.PolicyStatement(
            sid="Segments",
            actions=["s3:PutObject"],
            resources=[f"{bucket}/{ROWS_PREFIX}*", f"{bucket}/{ROOTS_PREFIX}*"],
        ),
        iam.PolicyStatement(
            sid="Roots", actions=["s3:GetObject"], resources=[f"{bucket}/{ROOTS_PREFIX}*"]
        ),
        iam.PolicyStatement(sid="ArchiveBucket", actions=["s3:ListBucket"], resources=[bucket]),
        *failed_batches_statements(data.failed_batches_bucket_arn),
        iam.PolicyStatement(
            sid="Signature", actions=["kms:Sign"], resources=[data.audit_key.key_arn]
        ),
        through_service(data.table_key.key_arn, "s3", ("kms:Decrypt", "kms:GenerateDataKey")),
    ]


AUDIT: Final = (
    ScheduledWorker(
        name="archive",
        module="archive",
        description="Copies the audit log to locked storage and signs roots over it",
        settings=ArchiveSettings,
        values=lambda _, data: {
            "audit_bucket": data.audit_bucket.bucket_name,
            "audit_key_arn": data.audit_key.key_arn,
        },
        statements=_write_archive,
        wildcard_resources=lambda data: {
            f"{data.audit_bucket_export}/{ROWS_PREFIX}*": "A segment is named by its content.",
            f"{data.audit_bucket_export}/{ROOTS_PREFIX}*": "Roots are numbered without end.",
            f"{data.failed_batches_export}/*": "Lambda names what it puts there.",
        },
        no_dead_letter_queue="Its stream and its schedule have on-failure destinations.",
        minutes=lambda schedules: schedules.archive_minutes,
        # For signing roots; a batch of the stream takes about a second.
        timeout_seconds=LONGEST_TIMEOUT_SECONDS,
        # A whole CPU, and room for the hashes of millions of names.
        memory_mb=WHOLE_CPU_MB,
        alarms=(
            LogAlarm(
                construct_id="AuditTampered",
                messages=(AUDIT_TAMPERED,),
                metric=OwnMetric.AUDIT_TAMPERED,
                runbook=Runbook.AUDIT_TAMPERED,
                description="An audit row was changed, deleted or forged; the log names it.",
            ),
        ),
    ),
)


def recorded_schedules(schedules: Schedules) -> dict[str, int]:
    """Minutes between two runs of every schedule, by name, but for the canary's."""
    workers = (*PAYMENTS, *LEDGER, *WEBHOOKS, *AUDIT)
    return {worker.name: worker.minutes(schedules) for worker in workers}


def scheduled_names(schedules: Schedules) -> list[str]:
    """The names of all schedules of the stage, each of which has a dead-letter queue."""
    canaries = [] if schedules.canary_minutes is None else [CANARY]
    return [*recorded_schedules(schedules), *canaries]
