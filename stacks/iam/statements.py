"""Policy statements of the functions: tables as their settings declare, keys, queues and buckets.

Identity policies only. A `grant` of the CDK would write into key and queue policies of another
stack, so that stacks depend on each other in a circle, and into inline policies, which no reviewer
finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms

from runtime.settings.table_uses import KeyedAction, TableUses
from stacks.constructs.schema_table import SchemaTable, pascal

ENCRYPTION_CONTEXT: Final = ("purpose", "subject")
"""Every wrapped data key names what it is for and whose it is; a call that does not is refused."""

INDEXES: Final = "Indexes"
"""Name of the statement about indexes; it has a policy of its own (service_function.py)."""
DEAD_LETTER_COUNTS: Final = "DeadLetterCounts"
"""Name of the statement about counting dead letters; it has a policy of its own, too."""
STREAM_ACTIONS: Final = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
"""Lambda Developer Guide, "Process DynamoDB records with Lambda": execution role permissions."""

Purpose = Literal["pii", "pci", "index"]

_READ_THROUGH_SERVICE: Final = ("kms:Decrypt", "kms:DescribeKey")
_WRITE_THROUGH_SERVICE: Final = (
    *_READ_THROUGH_SERVICE,
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What DynamoDB asks for in the caller's name on a table with a customer managed key (DynamoDB
Developer Guide, "Encryption at rest usage notes"), but CreateGrant, for its creator alone."""


def table_statements(
    tables: Mapping[str, SchemaTable], uses: TableUses, *, table_key_arn: str
) -> list[iam.PolicyStatement]:
    """The right to `uses`, and to the tables' key by way of DynamoDB alone; none without tables."""
    if not uses:
        return []
    uses = dict(sorted(uses.items()))
    statements = _rows_statements(tables, uses)
    indexes: list[str] = []
    streams = [_stream_arn(tables[name]) for name, use in uses.items() if use.reads_stream]
    for name, use in uses.items():
        arn = tables[name].table.table_arn
        statements += [
            _keyed_statement(pascal(name), arn, action, patterns)
            for action, patterns in use.by_key.items()
        ]
        known = (tables[name].schema.index(index).name for index in use.queried_indexes)
        indexes += [f"{arn}/index/{index}" for index in known]
    if indexes:
        # One statement for all: a managed policy holds 6,144 characters.
        statements.append(
            iam.PolicyStatement(sid=INDEXES, actions=["dynamodb:Query"], resources=indexes)
        )
    if streams:
        statements.append(
            iam.PolicyStatement(
                sid="Streams",
                actions=[f"dynamodb:{action}" for action in STREAM_ACTIONS],
                resources=streams,
            )
        )
    writes = any(use.writes for use in uses.values())
    actions = _WRITE_THROUGH_SERVICE if writes else _READ_THROUGH_SERVICE
    return [*statements, through_service(table_key_arn, "dynamodb", actions)]


def _rows_statements(
    tables: Mapping[str, SchemaTable], uses: TableUses
) -> list[iam.PolicyStatement]:
    """One statement for the tables with which the same may be done, for a policy has no room."""
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, use in uses.items():
        if use.actions:
            what = (tuple(sorted(use.actions)), use.attributes)
            alike.setdefault(what, []).append(tables[name].table.table_arn)
    return [
        iam.PolicyStatement(
            sid="".join(actions) + ("Only" if attributes else ""),
            actions=[f"dynamodb:{action}" for action in actions],
            resources=arns,
            conditions=_only(attributes) if attributes else None,
        )
        for (actions, attributes), arns in alike.items()
    ]


def _only(attributes: tuple[str, ...]) -> dict[str, dict[str, str | list[str]]]:
    """For requests that name what they want, and want nothing but `attributes`.

    DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control".
    """
    return {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": list(attributes)},
        # A request that names none wants all, and "for all values" is also true of none.
        "Null": {"dynamodb:Attributes": "false"},
        "StringEqualsIfExists": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
    }


def _keyed_statement(
    table: str, arn: str, action: KeyedAction, patterns: tuple[str, ...]
) -> iam.PolicyStatement:
    """`action` on the rows whose partition key is like one of `patterns`, and on no other."""
    return iam.PolicyStatement(
        sid=f"{table}{action}",
        actions=[f"dynamodb:{action}"],
        resources=[arn],
        conditions={
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(patterns)},
            # "For all values" is also true of none.
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    )


def _stream_arn(table: SchemaTable) -> str:
    """Of the stream that an event source mapping reads in the function's name."""
    stream_arn = table.table.table_stream_arn
    assert stream_arn is not None, f"{table.schema.name} has no stream"  # noqa: S101 - a bug
    return stream_arn


def through_service(key_arn: str, service: str, actions: tuple[str, ...]) -> iam.PolicyStatement:
    """`actions` on the key, only where `service` asks for them in the function's name."""
    return iam.PolicyStatement(
        sid=f"TableKeyThrough{service.capitalize()}",
        actions=list(actions),
        resources=[key_arn],
        conditions={
            "StringEquals": {
                "kms:CallerAccount": Aws.ACCOUNT_ID,
                "kms:ViaService": f"{service}.{Aws.REGION}.amazonaws.com",
            }
        },
    )


def data_key_statement(key: kms.IKey, purpose: Purpose, *actions: str) -> iam.PolicyStatement:
    """`actions` (without prefix) on a key that wraps data keys, in our encryption context alone."""
    return iam.PolicyStatement(
        actions=[f"kms:{action}" for action in actions],
        resources=[key.key_arn],
        conditions={
            # "For all values" is also true of none, so each has to be there as well.
            "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": list(ENCRYPTION_CONTEXT)},
            "StringEquals": {"kms:EncryptionContext:purpose": purpose},
            "Null": {"kms:EncryptionContext:subject": "false"},
        },
    )


def default_bus_statement(source: str) -> iam.PolicyStatement:
    """PutEvents on the account's default bus, as `source` alone."""
    return iam.PolicyStatement(
        sid="DefaultBus",
        actions=["events:PutEvents"],
        resources=[f"arn:{Aws.PARTITION}:events:{Aws.REGION}:{Aws.ACCOUNT_ID}:event-bus/default"],
        conditions={
            # "For all values" is also true of none.
            "ForAllValues:StringEquals": {"events:source": source},
            "Null": {"events:source": "false"},
        },
    )


def queue_statements(
    sid: str, queue_arn: str, key_arn: str, *actions: str
) -> list[iam.PolicyStatement]:
    """`actions` (without prefix) on a queue that `key_arn` encrypts."""
    return [
        iam.PolicyStatement(
            sid=sid, actions=[f"sqs:{action}" for action in actions], resources=[queue_arn]
        ),
        through_service(key_arn, "sqs", ("kms:Decrypt", "kms:GenerateDataKey")),
    ]


def failed_batches_statements(bucket_arn: str) -> list[iam.PolicyStatement]:
    """What Lambda needs in a function's name to put batches that it gives up into the bucket.

    (Lambda Developer Guide, "Retain discarded records for a DynamoDB event source".)
    """
    return [
        iam.PolicyStatement(
            sid="FailedBatches", actions=["s3:PutObject"], resources=[f"{bucket_arn}/*"]
        ),
        iam.PolicyStatement(
            sid="FailedBatchesBucket", actions=["s3:ListBucket"], resources=[bucket_arn]
        ),
    ]


def read_secret(sid: str, arn: str) -> iam.PolicyStatement:
    """Read a secret that someone made beforehand; `arn` is without its random suffix.

    Secrets Manager adds a hyphen and six random characters to the ARN of every secret.
    """
    return iam.PolicyStatement(
        sid=sid, actions=["secretsmanager:GetSecretValue"], resources=[f"{arn}-??????"]
    )
