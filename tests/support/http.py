"""Events as API Gateway and SQS send them, and the functions driven in process."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest

from permissions.actions import Names
from permissions.recording import Caller, Running, recorded_clients
from runtime.dynamodb.usage import Usage
from runtime.functions import (
    archive,
    authorize,
    compact_totals,
    deliver,
    expire_holds,
    export,
    find_unsettled,
    poll_processors,
    process,
    project,
    query,
    queue_due_webhooks,
    reconcile,
    resolve,
    rotate_keys,
    verify_ledger,
)
from runtime.functions.composition import aws_clients
from runtime.functions.composition.process_services import process_services
from runtime.functions.composition.query_services import query_services
from runtime.functions.composition.real_outside import real_outside
from runtime.functions.http.request import Request, authenticate, read_request
from runtime.http.authorizer_context import context_of
from runtime.http.endpoint import Endpoint
from runtime.http.event import API_ADDRESS, HttpEvent
from runtime.http.identity import Identity
from runtime.settings import AuthorizerSettings
from runtime.tables import ALL_TABLES
from simulation.platform.functions import FUNCTIONS
from simulation.platform.settings import MINUTES, STREAM_WINDOWS
from tests.support.iam_guard import restrict_to
from tests.support.outside import OUTSIDE

_numbers = itertools.count(1)
DEAD_LETTERS: Final = ("deliveries", "export-jobs", "settlement-files", *MINUTES, "canary")
"""What the dead letters of a stage are of."""
EVERYTHING = "payments reports customers accounts transfers merchant"


@dataclass(frozen=True)
class Answered:
    """An HTTP answer."""

    status: int
    body: Any
    headers: Mapping[str, str]
    text: str


class Context:
    """Lambda's context of one invocation."""

    function_name = "function"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:1:function:function"

    def __init__(self, seconds: float = 60.0) -> None:
        self.aws_request_id = f"invocation-{next(_numbers)}"
        self._milliseconds = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


class StubServices:
    """Services of a function whose requests need none of them."""

    stage = "test"
    api_address = API_ADDRESS

    def __init__(self) -> None:
        self.outside = real_outside()
        self.begun = 0
        self.store = SimpleNamespace(usage=Usage())

    def begin(self, _: Any) -> None:
        self.begun += 1


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    raw: str | bytes | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    authorizer: Mapping[str, str] | None = None,
    jwt: Any = None,
) -> dict[str, Any]:
    """A payload 2.0 event; `raw` is a body as it is, bytes being sent as base64."""
    text = json.dumps(body) if body is not None else raw
    coded = isinstance(text, bytes)
    context: dict[str, Any] = {
        "requestId": f"request-{next(_numbers)}",
        "http": {
            "method": method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "tests",
        },
        "stage": "$default",
    }
    if authorizer is not None:
        context["authorizer"] = {"lambda": dict(authorizer)}
    if jwt is not None:
        context["authorizer"] = {"jwt": jwt}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "queryStringParameters": dict(parse_qsl(query, keep_blank_values=True)) or None,
        "headers": {"content-type": "application/json", **(headers or {})},
        "requestContext": context,
        "body": base64.b64encode(text).decode() if isinstance(text, bytes) else text,
        "isBase64Encoded": coded,
    }


FOREVER = 9_999_999_999


def token_of(
    merchant: str | None, permissions: str = EVERYTHING, sub: str = "user"
) -> dict[str, str]:
    """The context from the authorizer."""
    identity = Identity(sub, merchant, tuple(permissions.split()), FOREVER)
    return dict(context_of(identity))


OPERATOR = token_of(None, "admin", "operator")


@dataclass
class Functions:
    """The deployed functions, in this process, each configured by its own environment."""

    modules: Mapping[str, Any]
    """What has each function's `handler`."""
    called: list[str] = field(default_factory=list)

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> Answered:
        """One request through the function that the gateway would invoke."""
        name = "query" if method == "GET" else "process"
        more.setdefault("authorizer", OPERATOR)
        return self.send(name, http_event(method, path, body, **more))

    def send(self, name: str, event: dict[str, Any]) -> Answered:
        answer = self.modules[name].handler(event, Context())
        text = answer["body"]
        if answer.get("isBase64Encoded"):
            text = gzip.decompress(base64.b64decode(text)).decode()
        kind = answer["headers"].get("Content-Type", "")
        body = json.loads(text) if "json" in kind and text else text
        return Answered(answer["statusCode"], body, answer["headers"], text)

    def judge(
        self, credential: str, route: str = "GET /v1/payments", user_agent: str = "tests"
    ) -> dict[str, Any]:
        """The authorizer's answer to a bearer credential."""
        event = {
            "version": "2.0",
            "type": "REQUEST",
            "routeKey": route,
            "headers": {"authorization": f"Bearer {credential}"},
            "requestContext": {
                "requestId": f"request-{next(_numbers)}",
                "http": {"sourceIp": "192.0.2.1", "userAgent": user_agent},
            },
        }
        answer: dict[str, Any] = self.modules["authorizer"].handler(event, Context())
        return answer

    def reconcile(self, *keys: str, seconds: float = 60.0, **detail: Any) -> Any:
        """Settlement files announced through the queue; their own messages stay there."""
        return self.reconcile_messages(
            *(json.dumps({"detail": {"object": {"key": key, **detail}}}) for key in keys),
            seconds=seconds,
        )

    def reconcile_messages(self, *bodies: str, seconds: float = 60.0) -> Any:
        """A batch of messages of the queue of settlement files."""
        records = [
            {
                "messageId": f"message-{number}",
                "receiptHandle": "handle",
                "body": body,
                "attributes": {},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:1:queue",
                "awsRegion": "eu-west-1",
            }
            for number, body in enumerate(bodies)
        ]
        return self.modules["reconcile"].handler({"Records": records}, Context(seconds))

    def work_settlement_queue(self, sqs: Any, queue_url: str) -> int:
        """Process all messages about settlement files; returns their number."""
        worked = 0
        while messages := sqs.receive_message(QueueUrl=queue_url).get("Messages", []):
            for message in messages:
                assert self.reconcile_messages(message["Body"])["batchItemFailures"] == []
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
                worked += 1
        return worked

    def resolve(self) -> Any:
        """Invoke the schedule of the resolver."""
        return self.modules["resolver"].handler({"schedule": "resolver"}, Context())

    def poll(self) -> Any:
        """Invoke the schedule that polls processors."""
        return self.modules["poll"].handler({"schedule": "poll"}, Context())

    def sweep_missing(self) -> Any:
        """Invoke the schedule that finds missing transactions."""
        return self.modules["missing"].handler({"schedule": "missing"}, Context())

    def project(self, *records: dict[str, Any]) -> Any:
        """A batch of a table's change stream."""
        return self.modules["project"].handler({"Records": list(records)}, Context())

    def archive(self, *records: dict[str, Any]) -> Any:
        """A batch of the audit log's change stream."""
        return self.modules["archive"].handler({"Records": list(records)}, Context())

    def close_archive(self) -> Any:
        """Invoke the schedule of the archive."""
        return self.modules["archive"].handler({"schedule": "archive"}, Context())

    def prove(self) -> Any:
        """Invoke the schedule of ledger verification."""
        return self.modules["proof"].handler({"schedule": "proof"}, Context())

    def rotate(self, **event: Any) -> Any:
        """Invoke the schedule of key rotation, or request one as an operator."""
        return self.modules["rotation"].handler({"schedule": "rotation", **event}, Context())

    def deliver(self, *messages: tuple[str, str]) -> Any:
        """Messages of the queue of deliveries: their ids and bodies."""
        records = [{"messageId": each, "body": body} for each, body in messages]
        return self.modules["deliver"].handler({"Records": records}, Context())

    def export(self, *messages: tuple[str, str]) -> Any:
        """Messages of the queue of exports: their ids and bodies."""
        records = [{"messageId": each, "body": body} for each, body in messages]
        return self.modules["export"].handler({"Records": records}, Context(300))

    def queue_retries(self) -> Any:
        """Invoke the schedule of due webhooks."""
        return self.modules["retries"].handler({"schedule": "retries"}, Context())

    def expire_holds(self) -> Any:
        """Invoke the schedule of expiring holds."""
        return self.modules["holds"].handler({"schedule": "holds"}, Context())

    def fold_totals(self) -> Any:
        """Invoke the schedule of totals."""
        return self.modules["totals"].handler({"schedule": "totals"}, Context())


def environment(
    tables: Mapping[str, str],
    *,
    key_arn: str,
    bucket: str = "bucket",
    queue_url: str = "queue",
    audit_key_arn: str = "audit-key",
) -> dict[str, str]:
    """The variables of all functions together, as their stacks would write them."""
    known: dict[str, Any] = {
        "stage": "test",
        "service": "test",
        "tables": tables,
        "pii_key_arn": key_arn,
        "pci_key_arn": key_arn,
        "index_key_arn": key_arn,
        "settlement_bucket": bucket,
        "export_bucket": bucket,
        "settlement_queue_url": queue_url,
        "delivery_queue_url": queue_url,
        "failed_batches_bucket": bucket,
        "audit_bucket": bucket,
        "export_queue_url": queue_url,
        "schedules": json.dumps(MINUTES),
        "streams": json.dumps(STREAM_WINDOWS),
        "dead_letter_queues": ",".join(DEAD_LETTERS),
        "dead_letter_queue_url": f"{queue_url}-{{name}}",
        "settle_seconds": 0,
        "audit_key_arn": audit_key_arn,
        "intent_lease_seconds": 5,
        "stop_before_timeout_seconds": 30,  # one environment for all, so one value for all
        "merchant_cache_seconds": 0,
        "issuer": "https://issuer.invalid",
        "audience": "payments-api",
        "jwks_url": "https://issuer.invalid/jwks.json",
    }
    written: dict[str, str] = {}
    for function in FUNCTIONS.values():
        shape = function.settings
        settings = shape(**{name: known[name] for name in shape.model_fields if name in known})
        written |= settings.environment()
    # One environment for all functions, so it names every table.
    return {**written, "TABLES": json.dumps(dict(tables))}


_TABLE_USERS: Final[Mapping[str, tuple[ModuleType, Any]]] = {
    "archive": (archive, archive.archive_services),
    "deliver": (deliver, deliver.deliver_services),
    "export": (export, export.export_services),
    "holds": (expire_holds, expire_holds.expire_holds_services),
    "missing": (find_unsettled, find_unsettled.missing_services),
    "poll": (poll_processors, poll_processors.poll_services),
    "process": (process, process_services),
    "project": (project, project.project_services),
    "proof": (verify_ledger, verify_ledger.verify_ledger_services),
    "query": (query, query_services),
    "reconcile": (reconcile, reconcile.reconcile_services),
    "resolver": (resolve, resolve.resolver_services),
    "retries": (queue_due_webhooks, queue_due_webhooks.queue_due_webhooks_services),
    "rotation": (rotate_keys, rotate_keys.rotation_services),
    "totals": (compact_totals, compact_totals.compact_totals_services),
}
"""Module and cached services of each function that always uses tables."""


def functions() -> Functions:
    """The functions, configured by the environment and limited to their table permissions."""
    for name, (_, services) in _TABLE_USERS.items():
        services.cache_clear()
        made = services()
        restrict_to(made.client, FUNCTIONS[name].settings.TABLE_USES, made.store.tables)
    authorize.authorizer_services.cache_clear()
    gate = authorize.authorizer_services().machine_clients
    restrict_to(gate.store.client, AuthorizerSettings.TABLE_USES, gate.store.tables)
    modules = {name: module for name, (module, _) in _TABLE_USERS.items()}
    modules["authorizer"] = authorize
    return Functions({name: _recorded(name, module) for name, module in modules.items()})


_running: Final = Running()


def record_clients(machine: pytest.MonkeyPatch) -> None:
    """Note what the functions ask of AWS (permissions/recording.py), until `machine` is undone.

    Calls that a test makes with a function's clients are not noted: no handler runs then.
    """
    for name, client in recorded_clients(aws_clients, _running).items():
        machine.setattr(aws_clients, name, client)


def _recorded(name: str, module: ModuleType) -> SimpleNamespace:
    """The function's handler; while it runs, calls are the function's."""
    settings = FUNCTIONS[name].settings.from_environment(os.environ)
    caller = Caller(name, Names(settings.environment()))

    def handler(event: Any, context: Any) -> Any:
        with _running.of(caller):
            return module.handler(event, context)

    return SimpleNamespace(handler=handler)


def request_of(endpoint: Endpoint, event: dict[str, Any], members: Mapping[str, str]) -> Request:
    """What a function reads of an event. Raises PlatformError where it is refused."""
    view = HttpEvent.of(event)
    caller = authenticate(endpoint, view, OUTSIDE.now().timestamp())
    return read_request(endpoint, view, members, caller, OUTSIDE)


def make_tables(client: Any, prefix: str = "", *, streams: bool = False) -> dict[str, str]:
    """Every table of the schema; their physical names by schema name."""
    names = {schema.name: prefix + schema.name for schema in ALL_TABLES}
    for schema in ALL_TABLES:
        arguments = schema.create_table_arguments(names[schema.name])
        if not streams:
            arguments.pop("StreamSpecification", None)
        client.create_table(**arguments)
    return names
