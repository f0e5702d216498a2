"""What recorded calls need in a stage, and what AWS's services do in a function's name.

The second kind cannot be recorded by tests: services read streams and queues, write logs, and use
keys, with the function's role. Each rule names the AWS guide that it follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from permissions.actions import ANY, DEAD_LETTER_URL, DEFAULT_BUS, Call, dead_letter_queues
from permissions.evaluation import Request
from permissions.policies import ACCOUNT, PARTITION, REGION, Function, Stage, queue_arn, tables_of
from runtime.tables import ALL_TABLES

_EXAMPLE: Final = "01EXAMPLE"
_RANDOM_SUFFIX: Final = "-A1b2C3"
"""What Secrets Manager adds to the ARN of a secret."""
_PARTITION_KEYS: Final = {schema.name: schema.key_names[0] for schema in ALL_TABLES}
_ROWS: Final = frozenset({"dynamodb:leadingkeys", "dynamodb:attributes", "dynamodb:select"})
"""Condition keys of DynamoDB, in lower case: what a call does not record of them is unknown."""
_PARTS: Final = ("CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart")
_WRITES: Final = frozenset({"DeleteItem", "PutItem", "UpdateItem"})
_KEY_OF_READ_TABLE: Final = ("Decrypt", "DescribeKey")
_KEY_OF_WRITTEN_TABLE: Final = (
    *_KEY_OF_READ_TABLE,
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
)
"""What the guide lists for a table with a customer managed key, without CreateGrant, which is for
who creates the table (DynamoDB Developer Guide, "Encryption at rest usage notes"). It does not say
which of them a caller needs, so all are demanded (docs/decisions/0116)."""

STREAM_ACTIONS: Final = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
QUEUE_ACTIONS: Final = ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")


@dataclass(frozen=True)
class Need:
    """A request that AWS must allow, and what it is for, in a few words."""

    function: str
    request: Request
    use: str


def needs_of(stage: Stage, calls: Iterable[Call]) -> Iterator[Need]:
    """All needs of all functions of the stage.

    A call by a function, or with a setting, which the stage does not have is not made in it.
    """
    for call in calls:
        yield from _needs_of_call(stage, call)
    for function in stage.functions.values():
        yield from _by_lambda(stage, function)


# ------------------------------------------------------------------ recorded calls


def _needs_of_call(stage: Stage, call: Call) -> Iterator[Need]:
    function = stage.functions.get(call.function)
    arn = _arn(call, function) if function is not None else None
    if function is None or arn is None:
        return
    context, unknown = dict(call.context), frozenset[str]()
    if call.action.startswith("dynamodb:"):
        context, unknown = _of_rows(call, context)
    use = call.operation.partition(".")[2]
    yield _need(function, call.action, arn, use, context, unknown)
    yield from _through_keys(stage, function, call, arn, use)


def _arn(call: Call, function: Function) -> str | None:
    """ARN of what the call is about; None if the stage does not have the setting."""
    if call.resource == DEFAULT_BUS:
        return f"arn:{PARTITION}:events:{REGION}:{ACCOUNT}:event-bus/default"
    setting, slash, rest = call.resource.replace(ANY, _EXAMPLE).partition("/")
    kind, _, table = setting.partition(".")
    if kind == "TABLES":
        name = tables_of(function)[table]
        return f"arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT}:table/{name}{slash}{rest}"
    value = function.environment.get(setting)
    if value is None:
        return None if not setting.startswith("unknown:") else setting
    if setting == DEAD_LETTER_URL:
        known = dead_letter_queues(function.environment)
        return queue_arn(value.replace("{name}", rest)) if rest in known else None
    if setting.endswith("_BUCKET"):
        return f"arn:{PARTITION}:s3:::{value}{slash}{rest}"
    if setting.endswith("_SECRET_ARN"):
        # Settings have the ARN without the suffix that every secret's ARN ends with (AWS Secrets
        # Manager User Guide, "What's in a Secrets Manager secret?").
        return value + _RANDOM_SUFFIX
    return queue_arn(value) if setting.endswith("_QUEUE_URL") else value


def _of_rows(
    call: Call, context: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    """Conditions on rows, from the key and the attributes that the call names.

    DynamoDB Developer Guide, "Using IAM policy conditions for fine-grained access control".
    """
    table = call.resource.removeprefix("TABLES.").partition("/")[0]
    found: dict[str, tuple[str, ...]] = {}
    leading = context.get(f"key:{_PARTITION_KEYS[table]}")
    if leading:
        found["dynamodb:LeadingKeys"] = tuple(key.replace(ANY, _EXAMPLE) for key in leading)
    if "dynamodb:Attributes" in context:
        found["dynamodb:Attributes"] = context["dynamodb:Attributes"]
    known = {name.lower() for name in found}
    if call.action in ("dynamodb:GetItem", "dynamodb:BatchGetItem"):
        known.add("dynamodb:select")  # these operations have no such parameter
    return found, _ROWS - known


def _through_keys(
    stage: Stage, function: Function, call: Call, arn: str, use: str
) -> Iterator[Need]:
    """What the service asks of KMS in the caller's name for a call on something encrypted."""
    service, _, action = call.action.partition(":")
    actions: tuple[str, ...] = ()
    if service == "dynamodb":
        actions = _KEY_OF_WRITTEN_TABLE if action in _WRITES else _KEY_OF_READ_TABLE
        yield from _kms(stage, function, service, _table_of(arn), actions, use)
    elif service == "sqs" and action == "SendMessage":
        # Amazon SQS Developer Guide, "Key management": permissions of producers.
        yield from _kms(stage, function, service, arn, ("Decrypt", "GenerateDataKey"), use)
    elif service == "s3":
        # Amazon S3 User Guide, "Using server-side encryption with AWS KMS keys": Permissions.
        bucket = arn.partition("/")[0]
        if action in ("GetObject", "GetObjectVersion"):
            actions = ("Decrypt",)
        elif action == "PutObject":
            parts = call.operation.endswith(_PARTS)
            actions = ("Decrypt", "GenerateDataKey") if parts else ("GenerateDataKey",)
        yield from _kms(stage, function, service, bucket, actions, use)


def _table_of(arn: str) -> str:
    return "/".join(arn.split("/")[:2])


# ------------------------------------------------------------------ what Lambda does


def _by_lambda(stage: Stage, function: Function) -> Iterator[Need]:
    """Calls of Lambda with the function's role."""
    # Lambda Developer Guide, "Sending Lambda function logs to CloudWatch Logs". The log group is
    # part of the stack, so it is never created by the function.
    stream = function.log_group.removesuffix("*") + f"log-stream:{_EXAMPLE}"
    yield _need(function, "logs:CreateLogStream", function.log_group, "Lambda writes logs")
    yield _need(function, "logs:PutLogEvents", stream, "Lambda writes logs")
    # Lambda Developer Guide, "Visualize Lambda function invocations using AWS X-Ray".
    for action in ("PutTelemetryRecords", "PutTraceSegments"):
        yield _need(function, f"xray:{action}", "*", "Lambda sends traces")
    for source in function.sources:
        if ":sqs:" in source.arn:
            yield from _reads_queue(stage, function, source.arn)
        else:
            yield from _reads_stream(function, source.arn)
        if source.on_failure:
            yield from _gives_up(stage, function, source.on_failure, "Lambda keeps failed batches")
    if function.on_failure:
        yield from _gives_up(stage, function, function.on_failure, "Lambda keeps failed events")


def _reads_queue(stage: Stage, function: Function, arn: str) -> Iterator[Need]:
    # Lambda Developer Guide, "Using Lambda with Amazon SQS": Execution role permissions.
    for action in QUEUE_ACTIONS:
        yield _need(function, f"sqs:{action}", arn, "Lambda reads the queue")
    yield from _kms(stage, function, "sqs", arn, ("Decrypt",), "Lambda reads the queue")


def _reads_stream(function: Function, arn: str) -> Iterator[Need]:
    # Lambda Developer Guide, "Process DynamoDB records with Lambda": Execution role permissions.
    for action in STREAM_ACTIONS:
        yield _need(function, f"dynamodb:{action}", arn, "Lambda reads the stream")


def _gives_up(stage: Stage, function: Function, arn: str, use: str) -> Iterator[Need]:
    if ":sqs:" in arn:
        # Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".
        yield _need(function, "sqs:SendMessage", arn, use)
        yield from _kms(stage, function, "sqs", arn, ("Decrypt", "GenerateDataKey"), use)
        return
    # Lambda Developer Guide, "Retain discarded records for a DynamoDB event source".
    yield _need(function, "s3:PutObject", f"{arn}/aws/lambda/{_EXAMPLE}", use)
    yield _need(function, "s3:ListBucket", arn, use)
    yield from _kms(stage, function, "s3", arn, ("GenerateDataKey",), use)


# ------------------------------------------------------------------ requests


def _kms(
    stage: Stage, function: Function, service: str, arn: str, actions: Iterable[str], use: str
) -> Iterator[Need]:
    key = stage.encryption_keys.get(arn)
    if key is None:
        return
    context = {
        "kms:CallerAccount": (ACCOUNT,),
        "kms:ViaService": (f"{service}.{REGION}.amazonaws.com",),
    }
    for action in actions:
        yield _need(function, f"kms:{action}", key, use, context)


def _need(
    function: Function,
    action: str,
    resource: str,
    use: str,
    context: Mapping[str, tuple[str, ...]] | None = None,
    unknown: frozenset[str] = frozenset(),
) -> Need:
    role = function.principal.role_arn
    assert role is not None  # noqa: S101 - functions have roles
    everywhere = {
        "aws:PrincipalArn": (role,),
        "aws:SecureTransport": ("true",),
        "s3:TlsVersion": ("1.3",),
    }
    request = Request(
        function.principal, action, resource, {**everywhere, **(context or {})}, unknown
    )
    return Need(function.service, request, use)
