"""Faults between the code and DynamoDB, injected by a client's event hooks: seeded, replayable.

`before-call` may answer instead of the service, or raise: then the request never arrived.
`after-call` may raise: then it was done, and its answer was lost. Each client has `Faults` with its
own seed, so that its decisions do not depend on the order of threads.
"""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

COMMIT = "TransactWriteItems"
SETTLED_READ = "TransactGetItems"
PLAIN_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
_ENDPOINT = "http://engine"


class Fault(StrEnum):
    """Faults of one call."""

    CONFLICT = "conflict"
    MIXED = "mixed"
    """A refused commit reports one failed condition less, or one more item that is in
    conflict: `busy` where a condition was not judged. What is not refused is done."""
    THROTTLED = "throttled"
    THROTTLED_INDEX = "throttled_index"
    """A commit's first item cannot be written, because an index is throttled."""
    IN_PROGRESS = "in_progress"
    INTERNAL = "internal"
    BAD_GATEWAY = "bad_gateway"
    UNREACHED = "unreached"
    ANSWER_LOST = "answer_lost"
    KILLED_BEFORE = "killed_before"
    KILLED_AFTER = "killed_after"


TRANSIENT = (
    Fault.CONFLICT,
    Fault.MIXED,
    Fault.THROTTLED,
    Fault.THROTTLED_INDEX,
    Fault.IN_PROGRESS,
    Fault.INTERNAL,
    Fault.BAD_GATEWAY,
    Fault.UNREACHED,
    Fault.ANSWER_LOST,
)
_COMMITS_ALONE = (Fault.MIXED, Fault.THROTTLED_INDEX, Fault.IN_PROGRESS)
_PLAIN_WRITE_FAULTS = tuple(f for f in TRANSIENT if f not in _COMMITS_ALONE)
_READ_FAULTS = tuple(f for f in _PLAIN_WRITE_FAULTS if f is not Fault.CONFLICT)
_BUSY_CODES = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
"""Why DynamoDB did not evaluate an item's condition (API reference, CancellationReason)."""
_KILLS = (Fault.KILLED_BEFORE, Fault.KILLED_AFTER)


class ProcessKilled(BaseException):
    """The process ends here: no handler of the code under test may catch it."""


Plan = Callable[[str, int], Fault | None]
"""The fault of the n-th call (from 1) of an operation."""


def at_call(operation: str, number: int, fault: Fault) -> Plan:
    """`fault` at the n-th call of one operation."""
    return lambda called, n: fault if called == operation and n == number else None


def at_commit(number: int, fault: Fault) -> Plan:
    """`fault` at the n-th commit."""
    return at_call(COMMIT, number, fault)


def at_step(number: int, fault: Fault) -> Plan:
    """`fault` at the n-th call of any operation."""
    steps = itertools.count(1)
    return lambda *_: fault if next(steps) == number else None


def beginning_with(fault: Fault, plan: Plan) -> Plan:
    """`plan`, but `fault` at the first commit."""
    return lambda called, n: fault if (called, n) == (COMMIT, 1) else plan(called, n)


def every_commit(fault: Fault) -> Plan:
    """`fault` at every commit."""
    return lambda operation, _: fault if operation == COMMIT else None


def first_tries(fault: Fault, tries: int) -> Plan:
    """`fault` at the first calls of every operation."""
    return lambda _, n: fault if n <= tries else None


def seeded(seed: str, rate: float, kills: float = 0.0, *, kill_anywhere: bool = False) -> Plan:
    """Transient faults at `rate`, kills at `kills`; the same seed gives the same sequence.

    Kills happen only at commits, unless `kill_anywhere`.
    """
    dice = random.Random(seed)

    def plan(operation: str, _: int) -> Fault | None:
        throw = dice.random()
        if (kill_anywhere or operation == COMMIT) and throw < kills:
            return dice.choice(_KILLS)
        if throw < kills + rate:
            return dice.choice(_faults_of(operation))
        return None

    return plan


def _faults_of(operation: str) -> tuple[Fault, ...]:
    if operation == COMMIT:
        return TRANSIENT
    # A settled read conflicts with commits like a plain write.
    meets_commits = operation in (*PLAIN_WRITES, SETTLED_READ)
    return _PLAIN_WRITE_FAULTS if meets_commits else _READ_FAULTS


@dataclass
class Faults:
    """Faults of one client, by plan; `injected` lists them in order."""

    plan: Plan
    injected: list[tuple[str, int, Fault]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, with these faults."""
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
        context["fault"], context["number"] = fault, number
        if fault is Fault.KILLED_BEFORE:
            raise ProcessKilled(f"before {model.name} {number}")
        if fault is Fault.UNREACHED:
            raise EndpointConnectionError(endpoint_url=_ENDPOINT)
        return _refusal(fault, params)

    def _after(self, model: Any, context: Any, parsed: Any, **_: Any) -> None:
        fault = context.get("fault")
        if fault is Fault.MIXED:
            _mix(parsed.get("CancellationReasons", []), random.Random(context["number"]))
        if fault is Fault.KILLED_AFTER:
            raise ProcessKilled(f"after {model.name}")
        if fault is Fault.ANSWER_LOST:
            even = self.calls[model.name] % 2 == 0
            raise (ReadTimeoutError if even else ConnectionClosedError)(endpoint_url=_ENDPOINT)


@dataclass
class BusyItem:
    """One item of the first refused commits is in conflict: its condition was not evaluated.

    Another commit is just taking effect there: until the next attempt plain reads of `hidden`, a
    table, do not see it yet. For a test that must choose the item; `Fault.MIXED` draws one.
    """

    position: int
    hidden: str = ""
    refusals: int = 1
    met: int = 0
    _busy: bool = False

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, with that conflict."""
        client.meta.events.register("before-call.dynamodb", self._before)
        client.meta.events.register(f"after-call.dynamodb.{COMMIT}", self._after)
        return client

    def _before(self, model: Any, params: Any, **_: Any) -> Any:
        if model.name == COMMIT:
            self._busy = False
        elif self._busy and json.loads(params["body"]).get("TableName") == self.hidden:
            return SimpleNamespace(status_code=200, headers={}), {}
        return None

    def _after(self, parsed: Any, **_: Any) -> None:
        reasons = parsed.get("CancellationReasons", [])
        if reasons and self.met < self.refusals:
            self.met += 1
            self._busy = True
            reasons[self.position] = {"Code": "TransactionConflict"}


@dataclass
class ItemLocks:
    """DynamoDB's conflicts: an item is locked while a transaction works on it, and T seconds more.

    Another write of a locked item is refused at once, not queued: a transaction is canceled, a
    plain write gets TransactionConflictException. A plain write locks its item only while it runs,
    and only against transactions: two plain writes are serialized. The engines themselves have
    no conflicts. One `ItemLocks` is shared by all clients.
    """

    key_names: Mapping[str, tuple[str, ...]]
    hold_seconds: float
    clock: Callable[[], float] = time.monotonic
    conflicts: int = 0
    commits: int = 0
    plain_conflicts: int = 0
    _until: dict[str, float] = field(default_factory=dict, repr=False)
    _plain: Counter[str] = field(default_factory=Counter, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """`client`, with conflicts, whether faults are attached before or after."""
        events = client.meta.events
        # A request that never arrives locks nothing; a completed one is unlocked though its answer
        # is lost: before a call the faults come first, after it the locks.
        events.register_last("before-call.dynamodb", self._before)
        events.register_first("after-call.dynamodb", self._after)
        events.register_first("after-call-error.dynamodb", self._after)
        return client

    def _before(self, model: Any, params: Any, context: Any, **_: Any) -> Any:
        if model.name == COMMIT:
            return self._before_commit(params, context)
        if model.name in PLAIN_WRITES:
            return self._before_plain_write(params, context)
        if model.name == SETTLED_READ:
            return self._before_settled_read(params)
        return None

    def _before_commit(self, params: Any, context: Any) -> Any:
        items = [self._item(*action.values()) for action in _actions(params)]
        now = self.clock()
        with self._lock:
            self.commits += 1
            busy = [self._until.get(item, 0.0) > now or self._plain[item] > 0 for item in items]
            if any(busy):
                self.conflicts += 1
                return _canceled(["TransactionConflict" if each else "None" for each in busy])
            context["locked"] = items
            self._until.update(dict.fromkeys(items, float("inf")))
        return None

    def _before_settled_read(self, params: Any) -> Any:
        items = [self._item(*action.values()) for action in _actions(params)]
        with self._lock:
            busy = [self._until.get(item, 0.0) > self.clock() for item in items]
        if any(busy):
            return _canceled(["TransactionConflict" if each else "None" for each in busy])
        return None

    def _before_plain_write(self, params: Any, context: Any) -> Any:
        item = self._item(json.loads(params["body"]))
        with self._lock:
            if self._until.get(item, 0.0) > self.clock():
                self.plain_conflicts += 1
                return _error("TransactionConflictException", 400)
            context["written"] = item
            self._plain[item] += 1
        return None

    def _after(self, context: Any, **_: Any) -> None:
        until = self.clock() + self.hold_seconds
        locked, written = context.pop("locked", ()), context.pop("written", None)
        with self._lock:
            self._until.update(dict.fromkeys(locked, until))
            if written is not None:
                self._plain[written] -= 1

    def _item(self, request: Mapping[str, Any]) -> str:
        table = request["TableName"]
        holder = request.get("Key") or request["Item"]
        return json.dumps([table, *(holder[name] for name in self.key_names[table])])


def _mix(reasons: list[dict[str, Any]], dice: random.Random) -> None:
    """Turn one reason into a conflict or throttling, so that at least one failed condition stays.

    Of several failed ones any may be hidden; a single one is reported beside an item in conflict.
    """
    failed = [at for at, each in enumerate(reasons) if each["Code"] == "ConditionalCheckFailed"]
    fine = [at for at, each in enumerate(reasons) if each["Code"] == "None"]
    may_be_busy = fine if len(failed) == 1 else [*failed, *fine]
    if failed and may_be_busy:
        reasons[dice.choice(may_be_busy)] = {"Code": dice.choice(_BUSY_CODES)}


def _actions(params: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    actions: list[Mapping[str, Any]] = json.loads(params["body"])["TransactItems"]
    return actions


def _refusal(fault: Fault | None, params: Mapping[str, Any]) -> Any:
    match fault:
        case Fault.CONFLICT:
            return _conflict(params)
        case Fault.THROTTLED_INDEX:
            return _canceled(["ThrottlingError", *["None"] * (len(_actions(params)) - 1)])
        case Fault.THROTTLED:
            return _error("ThrottlingException", 400)
        case Fault.IN_PROGRESS:
            return _error("TransactionInProgressException", 400)
        case Fault.INTERNAL:
            return _error("InternalServerError", 500)
        case Fault.BAD_GATEWAY:
            return _error("502", 502)
    return None


def _conflict(params: Mapping[str, Any]) -> Any:
    body = json.loads(params["body"])
    if "TransactItems" not in body:
        return _error("TransactionConflictException", 400)
    return _canceled(["TransactionConflict", *["None"] * (len(body["TransactItems"]) - 1)])


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
