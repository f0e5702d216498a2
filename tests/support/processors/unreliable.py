"""Faulty processors in front of the sandbox."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from runtime.core.errors import ProcessorUnknown
from runtime.payments.processors.port import Processor
from runtime.payments.rules import ProcessorAnswer, Refused
from tests.support.engines.faults import ProcessKilled
from tests.support.platform import Hooked

CALLED_OFF = "canceled"
"""The sandbox's answer to a charge that arrives after its reference was forbidden."""


def silent() -> None:
    """Around a call: its answer is lost."""
    raise ProcessorUnknown("no response")


def unreached(inner: Processor) -> Hooked:
    """Requests never arrive; queries are answered."""
    return Hooked(inner, before=silent)


def unheard(inner: Processor) -> Hooked:
    """Requests are done, and the answer is lost."""
    return Hooked(inner, after=silent)


class Dead:
    """A processor that answers nothing at all."""

    captures_in_parts = True
    mode = "test"

    def check_method(self, payment_method: str) -> None:
        """Every payment method is accepted."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: silent()


class Answering:
    """A processor that gives one answer to every capture, refund and void, and does nothing."""

    captures_in_parts = True
    mode = "test"

    def __init__(self, answer: ProcessorAnswer) -> None:
        self._answer = answer
        self.asked: list[Any] = []

    def operate(self, request: Any) -> ProcessorAnswer:
        self.asked.append(request)
        return self._answer

    def find_operation(self, _: Any) -> ProcessorAnswer | None:
        return self._answer if self.asked else None


class LateMail:
    """Requests still on their way to the processor although their callers have given up."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._waiting: list[tuple[str, Any]] = []
        self._lock = threading.Lock()
        self.delivered: Counter[str] = Counter()

    def post(self, what: str, request: Any) -> None:
        """It will arrive at some time."""
        with self._lock:
            self._waiting.append((what, request))

    def deliver(self, dice: Random) -> bool:
        """Deliver one of them, in any order; its answer is lost. False: none is left."""
        with self._lock:
            if not self._waiting:
                return False
            what, request = self._waiting.pop(dice.randrange(len(self._waiting)))
        try:
            answer = getattr(self._processor, what)(request)
        except ProcessorUnknown:
            answer = None
        forbidden = (
            what == "charge" and isinstance(answer, Refused) and answer.decline_code == CALLED_OFF
        )
        with self._lock:
            self.delivered[f"{what} called off" if forbidden else what] += 1
        return True


_LOSES = ("unreached", "unheard", "late", "late")
_SLOW = ("slow to arrive", "slow to answer")
LINE_FAULTS = {*_LOSES, *_SLOW, "killed before", "killed after"}


class BadLine:
    """The connection to a processor: calls die, get lost, lose their answer, or arrive late.

    Some are so slow that `overtaken` happens before they arrive, or before they are answered.
    Queries about a reference get lost as well. `injected` counts the faults.
    """

    captures_in_parts = True
    mode = "test"

    def __init__(
        self,
        inner: Processor,
        mail: LateMail,
        seed: str,
        rate: float,
        kills: float,
        overtaken: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner, self._mail = inner, mail
        self._dice, self._rate, self._kills = Random(seed), rate, kills
        self._overtaken = overtaken
        self.injected: Counter[str] = Counter()

    def check_method(self, payment_method: str) -> None:
        self._inner.check_method(payment_method)

    def charge(self, request: Any) -> ProcessorAnswer:
        return self._call("charge", request, loses=(*_LOSES, *_SLOW))

    def operate(self, request: Any) -> ProcessorAnswer:
        return self._call("operate", request, loses=(*_LOSES, *_SLOW))

    def forbid(self, request: Any) -> ProcessorAnswer | None:
        return self._call("forbid", request, loses=_LOSES)

    def find(self, request: Any) -> ProcessorAnswer | None:
        return self._call("find", request, loses=("unreached", "unheard"))

    def find_operation(self, request: Any) -> ProcessorAnswer | None:
        return self._call("find_operation", request, loses=("unreached", "unheard"))

    def find_waiting(self, request: Any, charge_id: str) -> Any:
        return self._call("find_waiting", request, charge_id, loses=("unreached", "unheard"))

    def _call(self, what: str, request: Any, *more: str, loses: tuple[str, ...]) -> Any:
        fault = self._fault(loses)
        if fault is not None:
            self.injected[fault] += 1
        if fault == "killed before":
            raise ProcessKilled(f"before {what}")
        if fault == "late":
            self._mail.post(what, request)
        if fault in ("unreached", "late"):
            silent()
        if fault == "slow to arrive":
            self._overtaken()
        answer = getattr(self._inner, what)(request, *more)
        if fault == "slow to answer":
            self._overtaken()
        if fault == "killed after":
            raise ProcessKilled(f"after {what}")
        if fault == "unheard":
            silent()
        return answer

    def _fault(self, loses: tuple[str, ...]) -> str | None:
        throw = self._dice.random()
        if throw < self._kills:
            return self._dice.choice(("killed before", "killed after"))
        return self._dice.choice(loses) if throw < self._kills + self._rate else None
