"""The IAM actions that a call needs, with their resources and condition keys.

Values are made general at once: a resource is named by the setting that the function knows it by,
and of ids and object keys only what policies tell apart is kept. So calls can be compared between
stages, and nothing that a test wrote is stored.

Sources: Service Authorization Reference of each service; for transactions DynamoDB Developer Guide,
"Using IAM with DynamoDB transactions"; for versions and parts of objects Amazon S3 User Guide,
"Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

ANY: Final = "…"
"""Stands for what no policy tells apart."""
_SUFFIXES: Final = ("_BUCKET", "_QUEUE_URL", "_KEY_ARN", "_SECRET_ARN")
_PREFIXES: Final = frozenset(
    {"converted", "exports", "reconciliation", "rejected", "reports", "roots", "rows"}
)
"""First parts of objects' keys that policies name."""
_ID: Final = re.compile(r"([a-z]{2,4}_)[0-9A-HJKMNP-TV-Z]{26}")
"""An id (runtime/core/ids.py), whose kind policies may name in partition keys."""
_PURPOSES: Final = frozenset({"index", "pci", "pii"})
"""Purposes of data keys, which policies name in partition keys and encryption contexts."""

STREAMS: Final = frozenset(
    {
        "accounts",
        "alerts",
        "audit_log",
        "customers",
        "exports",
        "merchants",
        "payments",
        "settlements",
        "transactions",
        "transfers",
    }
)
"""Tables whose streams are consumed, which policies name in partition keys."""

_SCHEDULES: Final = frozenset(
    {
        "archive",
        "holds",
        "missing",
        "poll",
        "proof",
        "resolver",
        "retries",
        "rotation",
        "totals",
    }
)
"""Schedules, which policies name in partition keys."""
DEAD_LETTER_URL: Final = "DEAD_LETTER_QUEUE_URL"
"""The setting with the URL of all dead-letter queues, whose names are in DEAD_LETTER_QUEUES."""

ContextValues = Mapping[str, tuple[str, ...]]


class UnknownOperation(Exception):
    """An operation of which this module does not say what it needs."""


@dataclass(frozen=True, slots=True, order=True)
class Call:
    """One action that a call of a function needs: the same for every call of its kind.

    `resource` begins with the name of a setting, such as `TABLES.payments/index/gsi-open` or
    `EXPORT_BUCKET/reports/…`. `context` are condition keys with their values.
    """

    function: str
    action: str
    resource: str
    operation: str
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_json(self) -> str:
        """One line."""
        body = {
            "function": self.function,
            "action": self.action,
            "resource": self.resource,
            "operation": self.operation,
            "context": dict(self.context),
        }
        return json.dumps(body, ensure_ascii=False)

    @staticmethod
    def of_json(line: str) -> Call:
        """Read a line of `to_json`."""
        body = json.loads(line)
        context = sorted((key, tuple(values)) for key, values in body.pop("context").items())
        return Call(**body, context=tuple(context))


def dead_letter_queues(environment: Mapping[str, str]) -> list[str]:
    """Names of the dead-letter queues that a function's settings list."""
    return [name for name in environment.get("DEAD_LETTER_QUEUES", "").split(",") if name]


class Names:
    """The settings of a function by the physical names that they hold."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._names: dict[str, list[str]] = defaultdict(list)
        for name, physical in json.loads(environment.get("TABLES", "{}")).items():
            self._names[physical].append(f"TABLES.{name}")
        for variable, value in environment.items():
            if variable.endswith(_SUFFIXES) and value and variable != DEAD_LETTER_URL:
                self._names[value].append(variable)
        url = environment.get(DEAD_LETTER_URL, "")
        for name in dead_letter_queues(environment):
            self._names[url.replace("{name}", name)].append(f"{DEAD_LETTER_URL}/{name}")

    def of(self, physical: str) -> str | None:
        """The setting; None if several have the same value, as in some tests.

        What no setting names is returned as `unknown:…`, which no policy allows.
        """
        found = self._names.get(physical, [f"unknown:{physical}"])
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class _Need:
    action: str
    physical: str
    rest: str = ""
    context: ContextValues | None = None


def calls_of(
    function: str, names: Names, service: str, operation: str, parameters: Mapping[str, Any]
) -> Iterator[Call]:
    """What one call of an operation (`TransactWriteItems`) needs.

    Raises UnknownOperation.
    """
    translate = _SERVICES.get(service, {}).get(operation)
    if translate is None:
        raise UnknownOperation(f"{service} {operation}: add it to {__name__}")
    for need in translate(operation, parameters):
        if (setting := names.of(need.physical)) is not None:
            context = tuple(sorted((need.context or {}).items()))
            where = setting + need.rest
            yield Call(function, need.action, where, f"{service}.{operation}", context)


def absent_object(call: Call) -> Call:
    """What it takes to learn that an object is absent, rather than that access is denied.

    Amazon S3 API Reference, GetObject and HeadObject: without s3:ListBucket the answer is 403.
    """
    bucket = call.resource.partition("/")[0]
    return Call(call.function, "s3:ListBucket", bucket, f"{call.operation} (absent)")


# ------------------------------------------------------------------ DynamoDB


def _item(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    context: dict[str, tuple[str, ...]] = {}
    if "Key" in parameters:
        context |= _keys([parameters["Key"]])
    if operation == "GetItem":
        context |= _attributes(parameters, [parameters["Key"]])
    yield _Need(f"dynamodb:{operation}", parameters["TableName"], context=context)


def _rows(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    index = parameters.get("IndexName")
    rest = f"/index/{index}" if index else ""
    yield _Need(f"dynamodb:{operation}", parameters["TableName"], rest)


def _batch(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    for table, read in parameters["RequestItems"].items():
        context = _keys(read["Keys"]) | _attributes(read, read["Keys"])
        yield _Need(f"dynamodb:{operation}", table, context=context)


_PARTS: Final = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}


def _transaction(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    for part in parameters["TransactItems"]:
        ((kind, body),) = part.items()
        yield from _item(_PARTS[kind], body)


def _keys(keys: list[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """`key:<attribute>`: values of the attributes of the key; which one leads, the schema knows."""
    found: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        for name, value in key.items():
            found[f"key:{name}"].add(_general(str(next(iter(value.values())))))
    return {name: tuple(sorted(values)) for name, values in found.items()}


def _general(value: str) -> str:
    """`pii#cus_01J…` → `pii#cus_…`."""
    return "#".join(_general_part(part) for part in value.split("#"))


def _general_part(part: str) -> str:
    if (found := _ID.fullmatch(part)) is not None:
        return found[1] + ANY
    return part if part in _PURPOSES | _SCHEDULES | STREAMS else ANY


def _attributes(
    read: Mapping[str, Any], keys: list[Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """dynamodb:Attributes: what a read names; the key's attributes are part of the request."""
    projection = read.get("ProjectionExpression")
    if not projection:
        return {}
    placeholders = read.get("ExpressionAttributeNames", {})
    paths = (part.strip() for part in projection.split(","))
    top = (path.split(".")[0].split("[")[0] for path in paths)
    named = {placeholders.get(name, name) for name in top}
    return {"dynamodb:Attributes": tuple(sorted(named.union(*keys)))}


# ------------------------------------------------------------------ objects


def _general_key(key: str) -> str:
    first, slash, _ = key.partition("/")
    return f"/{first}/{ANY}" if slash and first in _PREFIXES else f"/{ANY}"


def _read(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _object("GetObjectVersion" if "VersionId" in parameters else "GetObject", parameters)


def _delete(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    versioned = "VersionId" in parameters
    yield _object("DeleteObjectVersion" if versioned else "DeleteObject", parameters)


def _write(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _object("PutObject", parameters)
    if "ObjectLockMode" in parameters or "ObjectLockRetainUntilDate" in parameters:
        yield _object("PutObjectRetention", parameters)


def _copy(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield from _read(operation, parameters["CopySource"])
    yield from _write(operation, parameters)


def _abort(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _object("AbortMultipartUpload", parameters)


def _list(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    action = "ListBucketVersions" if operation == "ListObjectVersions" else "ListBucket"
    yield _Need(f"s3:{action}", parameters["Bucket"])


def _object(action: str, parameters: Mapping[str, Any]) -> _Need:
    return _Need(f"s3:{action}", parameters["Bucket"], _general_key(parameters["Key"]))


# ------------------------------------------------------------------ the others


def _data_key(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    given = parameters.get("EncryptionContext", {})
    context = {
        f"kms:EncryptionContext:{name}": (value if value in _PURPOSES else ANY,)
        for name, value in given.items()
    }
    if given:
        context["kms:EncryptionContextKeys"] = tuple(sorted(given))
    yield _Need(f"kms:{operation}", parameters["KeyId"], context=context)


def _key(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _Need(f"kms:{operation}", parameters["KeyId"])


def _send(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _Need("sqs:SendMessage", parameters["QueueUrl"])


def _count(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _Need("sqs:GetQueueAttributes", parameters["QueueUrl"])


DEFAULT_BUS: Final = "unknown:default"
"""How `Names` calls the account's default event bus: no setting names it."""


def _put_events(_operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    for entry in parameters["Entries"]:
        bus = entry.get("EventBusName", "default")
        yield _Need("events:PutEvents", bus, context={"events:source": (entry["Source"],)})


def _secret(operation: str, parameters: Mapping[str, Any]) -> Iterator[_Need]:
    yield _Need(f"secretsmanager:{operation}", parameters["SecretId"])


Translate = Callable[[str, Mapping[str, Any]], Iterator[_Need]]

_SERVICES: Final[Mapping[str, Mapping[str, Translate]]] = {
    "dynamodb": {
        "BatchGetItem": _batch,
        "DeleteItem": _item,
        "GetItem": _item,
        "PutItem": _item,
        "Query": _rows,
        "Scan": _rows,
        "TransactGetItems": _transaction,
        "TransactWriteItems": _transaction,
        "UpdateItem": _item,
    },
    "events": {"PutEvents": _put_events},
    "kms": {
        "Decrypt": _data_key,
        "GenerateDataKey": _data_key,
        "GetPublicKey": _key,
        "Sign": _key,
        "Verify": _key,
    },
    "s3": {
        "AbortMultipartUpload": _abort,
        "CompleteMultipartUpload": _write,
        "CopyObject": _copy,
        "CreateMultipartUpload": _write,
        "DeleteObject": _delete,
        "GetObject": _read,
        "HeadObject": _read,
        "ListObjectVersions": _list,
        "ListObjectsV2": _list,
        "PutObject": _write,
        "UploadPart": _write,
    },
    "secretsmanager": {"GetSecretValue": _secret},
    "sqs": {"GetQueueAttributes": _count, "SendMessage": _send, "SendMessageBatch": _send},
}
"""What each operation needs; the keys of a service are the operations that functions may call."""
