"""Findings of the rule packs that a whole stage accepts, and the list of all that it accepts.

What concerns one resource is acknowledged where that resource is made (constructs/acknowledge.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks, PCIDSS321Checks, ServerlessChecks
from constructs import IConstruct

from stacks.backups import IN_BACKUP_PLAN
from stacks.constructs.acknowledge import acknowledge
from stacks.stage import StageConfig

PACKS: Final = (AwsSolutionsChecks, ServerlessChecks, NIST80053R5Checks, PCIDSS321Checks)
"""Rule packs of cdk-nag that every stage passes at synthesis."""

NO_VPC: Final = (
    "The functions call services of AWS, which authenticate every request, and addresses on the "
    "public Internet (processors, merchants' webhooks). In a VPC they would need a NAT gateway for "
    "the latter; what they may reach in AWS is limited by their roles and by policies of the "
    "tables, keys and buckets."
)
CONCURRENCY: Final = (
    "What one function can take from the account is limited elsewhere: requests by the gateway's "
    "throttles, queues by the maximum concurrency of their event source, streams by their shards, "
    "schedules by one run at a time. What is reserved is lost to all others, so a stage reserves "
    "only for functions that serve requests (setting concurrency)."
)
NO_REPLICATION: Final = (
    "The platform runs in one region. Versions and S3's own copies in three zones protect from "
    "deletion and failure there; a stage with backup.copy_to keeps copies elsewhere of what "
    "cannot be made again."
)
NO_BACKUP: Final = (
    "This stage has no backups apart from point-in-time recovery (setting backup): its payments "
    "are tests."
)
ALARMS_WITHOUT_ADDRESSES: Final = (
    "This stage has no addresses for alarms of at least one severity (setting alarms). "
    "Production is refused without addresses for both."
)

LINT_EXCEPTIONS: Final[Mapping[str, str]] = {
    "ES1001": (
        "Serverless-LambdaEventSourceMappingDestination is the same rule, and is judged for each "
        "mapping: SQS has no such destination, streams have one."
    ),
    "ES1007": (
        "Looks for the destination under the name of the function. Ours is that of the alias "
        "which the schedule invokes, and a test demands it of every schedule."
    ),
    "ES6000": (
        "Serverless-SQSRedrivePolicy is the same rule, and is judged for each queue: all but "
        "dead-letter queues have a redrive policy."
    ),
    "ES7000": "Serverless-SNSRedrivePolicy is the same rule, and is judged for each subscription.",
    "WS1004": (
        "Looks for a log group named /aws/lambda/ and the function. Ours is named in the "
        "function's LoggingConfig, and a test demands its retention."
    ),
}
"""Rules of cfn-lint-serverless that are not applied: what judges the same, or why they err."""


class Acknowledged(NamedTuple):
    """A finding of a rule on a construct, or on anything below it, accepted for a reason."""

    rule: str
    path: str
    """Of the construct, from the app on; empty: the whole stage."""
    reason: str


def acknowledge_for_stage(app: IConstruct, stage: StageConfig) -> None:
    """Accept on all of the stage what follows from how the platform is made, or from settings."""
    for rules, reason in _stances(stage):
        for rule in rules:
            acknowledge(app, rule, reason)


def _stances(stage: StageConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    yield ("NIST.800.53.R5-LambdaInsideVPC", "PCI.DSS.321-LambdaInsideVPC"), NO_VPC
    yield ("NIST.800.53.R5-LambdaConcurrency",), CONCURRENCY
    replication = "S3BucketReplicationEnabled"
    yield (f"NIST.800.53.R5-{replication}", f"PCI.DSS.321-{replication}"), NO_REPLICATION
    if stage.backup is None:
        yield (IN_BACKUP_PLAN,), NO_BACKUP
    if not (stage.alarms.page.notifies and stage.alarms.ticket.notifies):
        yield ("NIST.800.53.R5-CloudWatchAlarmAction",), ALARMS_WITHOUT_ADDRESSES


def acknowledged(app: IConstruct, assembly: Path) -> Iterator[Acknowledged]:
    """All that is acknowledged in an app, in the order of its constructs.

    `assembly` is the directory to which the app was synthesized: its files have the metadata of
    the stacks' constructs, each of which would take several calls to Node to ask.
    """
    kind = Validations.ACKNOWLEDGED_RULES_METADATA_KEY  # a call to Node each time
    for entry in app.node.metadata:
        if entry.type == kind:
            yield from _accepted(entry.data, app.node.path)
    artifacts = json.loads((assembly / "manifest.json").read_text("utf-8"))["artifacts"]
    for artifact in artifacts.values():
        name = artifact.get("additionalMetadataFile")
        metadata = json.loads((assembly / name).read_text("utf-8")) if name else {}
        for path, entries in metadata.items():
            for entry in entries:
                if entry["type"] == kind:
                    yield from _accepted(entry["data"], path.removeprefix("/"))


def _accepted(reasons: Mapping[str, str], path: str) -> Iterator[Acknowledged]:
    for rule, reason in reasons.items():
        # How the CDK marks rules that are not its own.
        yield Acknowledged(rule.removeprefix("Annotation::"), path, reason)
