"""Faults between us and DynamoDB, put into a client by its event hooks: seeded, replayable.

`before-call` may answer instead of the service, or raise: then the request never arrived.
`after-call` may raise: then it was done, and its answer was lost.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COMMIT = "TransactWriteItems"
_ENDPOINT = "http://engine"


class Fault(StrEnum):
    """What can go wrong with one call."""

    CONFLICT = "conflict"
    THROTTLED = "throttled"
    IN_PROGRESS = "in_progress"
    INTERNAL = "internal"
    BAD_GATEWAY = "bad_gateway"
    UNREACHED = "unreached"
    ANSWER_LOST = "answer_lost"
    KILLED_BEFORE = "killed_before"
    KILLED_AFTER = "killed_after"


TRANSIENT = (
    Fault.CONFLICT,
    Fault.THROTTLED,
    Fault.IN_PROGRESS,
    Fault.INTERNAL,
    Fault.BAD_GATEWAY,
    Fault.UNREACHED,
    Fault.ANSWER_LOST,
)
_READ_FAULTS = (
    Fault.THROTTLED,
    Fault.INTERNAL,
    Fault.BAD_GATEWAY,
    Fault.UNREACHED,
    Fault.ANSWER_LOST,
)


class ProcessKilled(BaseException):
    """The process ends here: no handler of the code under test may catch it."""


Plan = Callable[[str, int], Fault | None]
"""The fault of the n-th call (from 1) of an operation."""


def at_commit(number: int, fault: Fault) -> Plan:
    """`fault` at the n-th commit, nothing else."""
    return lambda operation, n: fault if operation == COMMIT and n == number else None


def every_commit(fault: Fault) -> Plan:
    """`fault` at every commit."""
    return lambda operation, _: fault if operation == COMMIT else None


def first_tries(fault: Fault, tries: int) -> Plan:
    """`fault` at the first calls of every operation."""
    return lambda _, n: fault if n <= tries else None


def seeded(seed: str, rate: float, kills: float = 0.0) -> Plan:
    """Transient faults at `rate`, kills at `kills`; the same seed gives the same sequence."""
    dice = random.Random(seed)

    def plan(operation: str, _: int) -> Fault | None:
        throw = dice.random()
        if operation == COMMIT and throw < kills:
            return dice.choice((Fault.KILLED_BEFORE, Fault.KILLED_AFTER))
        if throw < kills + rate:
            return dice.choice(TRANSIENT if operation == COMMIT else _READ_FAULTS)
        return None

    return plan


@dataclass
class Faults:
    """Faults of one client, by plan; `injected` is what happened, in order."""

    plan: Plan
    injected: list[tuple[str, int, Fault]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, now faulty."""
        client.meta.events.register("before-call.dynamodb", self._before)
        client.meta.events.register("after-call.dynamodb", self._after)
        return client

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> Any:
        with self._lock:
            number = self.calls.get(model.name, 0) + 1
            self.calls[model.name] = number
            fault = self.plan(model.name, number)
            if fault is not None:
                self.injected.append((model.name, number, fault))
        context["fault"] = fault
        if fault is Fault.KILLED_BEFORE:
            raise ProcessKilled(f"before {model.name} {number}")
        if fault is Fault.UNREACHED:
            raise EndpointConnectionError(endpoint_url=_ENDPOINT)
        return _refusal(fault, params)

    def _after(self, model: Any, context: Any, http_response: Any, **_: Any) -> None:
        fault = context.get("fault")
        if fault is Fault.KILLED_AFTER:
            raise ProcessKilled(f"after {model.name}")
        if fault is Fault.ANSWER_LOST:
            even = self.calls[model.name] % 2 == 0
            raise (ReadTimeoutError if even else ConnectionClosedError)(endpoint_url=_ENDPOINT)


@dataclass
class ItemLocks:
    """DynamoDB's conflicts: an item is locked while a transaction works on it, and T seconds more.

    A second transaction on a locked item is refused at once, not queued. The engines never do that.
    """

    key_names: Mapping[str, tuple[str, ...]]
    hold_seconds: float
    conflicts: int = 0
    commits: int = 0
    _until: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, now with conflicts."""
        client.meta.events.register(f"before-call.dynamodb.{COMMIT}", self._before)
        client.meta.events.register(f"after-call.dynamodb.{COMMIT}", self._after)
        return client

    def _before(self, params: Any, context: Any, **_: Any) -> Any:
        items = [self._item(action) for action in _actions(params)]
        now = time.monotonic()
        with self._lock:
            self.commits += 1
            busy = [self._until.get(item, 0.0) > now for item in items]
            if any(busy):
                self.conflicts += 1
                context["locked"] = []
                return _canceled(["TransactionConflict" if each else "None" for each in busy])
            context["locked"] = items
            self._until.update(dict.fromkeys(items, float("inf")))
        return None

    def _after(self, context: Any, **_: Any) -> None:
        until = time.monotonic() + self.hold_seconds
        with self._lock:
            self._until.update(dict.fromkeys(context["locked"], until))

    def _item(self, action: Mapping[str, Any]) -> str:
        (request,) = action.values()
        table = request["TableName"]
        holder = request.get("Key") or request["Item"]
        return json.dumps([table, *(holder[name] for name in self.key_names[table])])


def _actions(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    actions: list[Mapping[str, Any]] = json.loads(params["body"])["TransactItems"]
    return actions


def _refusal(fault: Fault | None, params: Mapping[str, Any]) -> Any:
    match fault:
        case Fault.CONFLICT:
            return _canceled(["TransactionConflict", *["None"] * (len(_actions(params)) - 1)])
        case Fault.THROTTLED:
            return _error("ThrottlingException", 400)
        case Fault.IN_PROGRESS:
            return _error("TransactionInProgressException", 400)
        case Fault.INTERNAL:
            return _error("InternalServerError", 500)
        case Fault.BAD_GATEWAY:
            return _error("502", 502)
    return None


def _canceled(codes: list[str]) -> Any:
    return _error(
        "TransactionCanceledException", 400, CancellationReasons=[{"Code": c} for c in codes]
    )


def _error(code: str, status: int, **more: Any) -> Any:
    answer = {
        "Error": {"Code": code, "Message": f"injected {code}"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        **more,
    }
    return SimpleNamespace(status_code=status, headers={}), answer
