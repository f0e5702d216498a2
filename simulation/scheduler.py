"""The scheduler: one seeded generator decides who goes on, and what goes wrong meanwhile.

A task gives way at every call that leaves its process. What is done at the other end is an event of
its own, so that it is done, or not, whatever has become of who asked for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from simulation.faults import (
    CALL_FAULTS,
    PARTNER_FAULTS,
    FaultRates,
    PartnerRates,
    Throw,
    closed_or_timeout,
    fitting,
    internal_error,
    read_timeout,
    refusal,
    unreached,
)
from simulation.loop import Loop
from simulation.tasks import Task

READ_TIMEOUT_SECONDS: Final = 5.0
"""How long the platform's DynamoDB client waits for an answer.

See runtime/functions/composition/aws_clients.py.
"""
LATENCY_SECONDS: Final = 0.004
"""One way to DynamoDB, on average."""
LATEST_SECONDS: Final = 12.5
"""How long after the client gave up a late request arrives, at the most."""


class Database(Protocol):
    """What the scheduler needs of the in-memory DynamoDB, beside one method per operation."""

    def begin(self, actions: Any, token: Any) -> Any:
        """Judge a transaction and lock its items; None where its token was done before."""
        ...

    def finish(self, transaction: Any) -> Any:
        """Commit what was judged."""
        ...

    def show_part(self, transaction: Any, chance: Random) -> None:
        """Let some of its rows be seen before the others."""
        ...


class _Call:
    """A call of DynamoDB under way. `task` None: no task waits for its answer any more."""

    __slots__ = ("arguments", "database", "fault", "gives_up_at", "operation", "task", "wait")

    def __init__(
        self,
        task: Task | None,
        operation: str,
        arguments: Mapping[str, Any],
        database: Database,
        gives_up_at: float,
    ) -> None:
        self.task = task
        self.wait = 0 if task is None else task.wait
        self.operation, self.arguments, self.database = operation, arguments, database
        self.gives_up_at = gives_up_at
        self.fault: str | None = None


class Scheduler(Loop):
    """Time, tasks, and calls that leave a process; `rates` may be changed at any time."""

    def __init__(self, seed: str, rates: FaultRates) -> None:
        super().__init__(seed)
        self.entropy = Random(f"{seed}-entropy")
        """Where ids, nonces and secrets come from."""
        self.injected: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.rates = rates
        self._partner_throws: dict[PartnerRates, Throw] = {}

    @property
    def rates(self) -> FaultRates:
        """How often calls of DynamoDB, and deliveries to functions, go wrong."""
        return self._rates

    @rates.setter
    def rates(self, rates: FaultRates) -> None:
        self._rates = rates
        self._throw = Throw(rates, CALL_FAULTS)

    # ------------------------------------------------------------ DynamoDB

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        database: Database,
        exceptions: Any = None,
    ) -> Any:
        """A call of DynamoDB by the running task; the hub's own calls are done at once.

        `exceptions` is the client's attribute of that name: classes for what is injected.
        """
        task = self.current
        self.calls[operation] += 1
        if task is None:
            return getattr(database, operation)(**arguments)
        now = self.now
        call = _Call(task, operation, arguments, database, now + READ_TIMEOUT_SECONDS)
        fault = self._throw.fault(self.rng)
        when = now + self._latency()
        if fault is None:
            self._send(call, when)
        else:
            self._send_badly(call, when, fitting(fault, operation), exceptions)
        return self.park()

    def _latency(self) -> float:
        rng, rates = self.rng, self._rates
        seconds = rng.random() * 2 * LATENCY_SECONDS
        if rates.slow and rng.random() < rates.slow:
            seconds += rng.uniform(0.02, 2.0)
            self.injected["slow"] += 1
        if rates.stuck and rng.random() < rates.stuck:
            seconds += rng.uniform(2.0, 30.0)
            self.injected["stuck"] += 1
        return seconds

    def _send(self, call: _Call, when: float) -> None:
        if when > call.gives_up_at:
            self._give_up(call)
        self.at(when, self._arrive, call)

    def _send_badly(self, call: _Call, when: float, fault: str, exceptions: Any) -> None:
        assert call.task is not None
        self.injected[fault] += 1
        if fault == "kill_before":
            self.at(when, self._kill_task, call.task)
        elif fault == "late":
            when = call.gives_up_at + self.rng.uniform(0.0, LATEST_SECONDS)
            self._send(call, when)
        elif fault in ("kill_after", "answer_lost", "internal_after"):
            call.fault = fault
            self._send(call, when)
        else:
            error = refusal(fault, call.operation, call.arguments, self.rng, exceptions)
            when = min(when, call.gives_up_at)
            self.at(when, self.resume, call.task, None, error, call.wait)

    def _give_up(self, call: _Call) -> None:
        """The client hears of a time-out; the call may be done all the same."""
        self.at(call.gives_up_at, self.resume, call.task, None, read_timeout(), call.wait)
        call.task = None

    def _arrive(self, call: _Call) -> None:
        """At DynamoDB. What is done here is done."""
        try:
            if call.operation == "transact_write_items":
                arguments = call.arguments
                database = call.database
                transaction = database.begin(
                    arguments["TransactItems"], arguments.get("ClientRequestToken")
                )
                if transaction is not None:
                    self._commit_later(call, transaction)
                    return
                value = {}
            else:
                value = getattr(call.database, call.operation)(**call.arguments)
        except ClientError as refused:
            self._answer(call, None, refused)
        except BaseException as defect:  # noqa: BLE001 - of the engine, or of who watches commits
            self.break_off(defect)
        else:
            self._answer(call, value, None)

    def _commit_later(self, call: _Call, transaction: Any) -> None:
        """Others see the transaction under way, and conflict with it, until it is committed."""
        rng, rates = self.rng, self._rates
        length = rng.random() * LATENCY_SECONDS
        if rates.slow and rng.random() < rates.slow:
            length += rng.uniform(0.01, 0.3)
        if rates.half_visible and rng.random() < rates.half_visible:
            self.injected["half visible"] += 1
            call.database.show_part(transaction, rng)
        when = self.now + length
        if when > call.gives_up_at and call.task is not None:
            self._give_up(call)
        self.at(when, self._commit, call, transaction)

    def _commit(self, call: _Call, transaction: Any) -> None:
        try:
            value = call.database.finish(transaction)
        except BaseException as defect:  # noqa: BLE001 - of the engine, or of who watches commits
            self.break_off(defect)
            return
        self._answer(call, value or {}, None)

    def _answer(self, call: _Call, value: Any, error: BaseException | None) -> None:
        task = call.task
        if task is None:
            return
        if call.fault == "kill_after":
            self._kill_task(task)
        elif call.fault == "answer_lost":
            lost, waited = closed_or_timeout(self.rng)
            when = call.gives_up_at if waited else self.now
            self.at(when, self.resume, task, None, lost, call.wait)
        elif call.fault == "internal_after" and error is None:
            self.resume(task, None, internal_error(call.operation, self.rng), call.wait)
        else:
            self.resume(task, value, error, call.wait)

    def _kill_task(self, task: Task) -> None:
        environment = task.environment
        if environment is None:  # a part of the world outside Lambda, which does not die
            self.resume(task, None, unreached(), task.wait)
        else:
            self.kill(environment)

    # ------------------------------------------------------------ other systems

    def remote(
        self,
        name: str,
        act: Callable[[], Any],
        rates: PartnerRates,
        lost: Callable[[], BaseException],
        *,
        refused: Callable[[], BaseException] = unreached,
        expected: type[BaseException] = Exception,
    ) -> Any:
        """Have `act` done by another system, at one instant; what it returns, or raises.

        `lost` makes the error of a caller that gets no answer, whether it was done or not;
        `refused` that of a caller whom the other system could not serve. An error of `act` that is
        not `expected`, or is an AssertionError, is a defect and ends the run.
        """
        task = self.current
        self.calls[name] += 1
        if task is None:
            return act()
        rng = self.rng
        throw = self._partner_throws.get(rates)
        if throw is None:
            throw = self._partner_throws[rates] = Throw(rates, PARTNER_FAULTS)
        fault = throw.fault(rng)
        seconds = rng.uniform(rates.least, rates.usual)
        if rates.slow and rng.random() < rates.slow:
            seconds += rng.uniform(0.0, rates.slowest)
            self.injected[f"{name} slow"] += 1
        if fault is not None:
            self.injected[f"{name} {fault}"] += 1
        gives_up_at, wait = self.now + rates.timeout, task.wait
        if fault == "kill_before":
            self.at(self.now + seconds, self._kill_task, task)
        elif fault == "refused":
            self.at(
                self.now + min(seconds, rates.timeout), self.resume, task, None, refused(), wait
            )
        elif fault in ("unreached", "answer_lost", "late") or seconds > rates.timeout:
            if fault == "late":
                seconds = rates.timeout + rng.uniform(0.0, rates.latest)
            if fault != "unreached":
                self.at(self.now + seconds, self._act, None, 0, act, expected, None)
            self.at(gives_up_at, self.resume, task, None, lost(), wait)
        else:
            self.at(self.now + seconds, self._act, task, wait, act, expected, fault)
        return self.park()

    def _act(
        self,
        task: Task | None,
        wait: int,
        act: Callable[[], Any],
        expected: type[BaseException],
        fault: str | None,
    ) -> None:
        try:
            value = act()
        except BaseException as raised:  # noqa: BLE001 - passed to the caller, or ends the run
            if not isinstance(raised, expected) or isinstance(raised, AssertionError):
                self.break_off(raised)
            else:
                self._acted(task, wait, fault, error=raised)
        else:
            self._acted(task, wait, fault, value)

    def _acted(
        self,
        task: Task | None,
        wait: int,
        fault: str | None,
        value: Any = None,
        error: BaseException | None = None,
    ) -> None:
        if task is None:
            return
        if fault == "kill_after":
            self._kill_task(task)
        else:
            self.resume(task, value, error, wait)
