"""Processors that stumble, standing before the sandbox."""

from __future__ import annotations

from typing import Any

from runtime.domain.payments import ProcessorAnswer
from runtime.errors import ProcessorUnknown
from runtime.gateways.processors.port import Processor
from tests.support.world import Hooked


def silent() -> None:
    """Around a call: nothing is heard of it any more."""
    raise ProcessorUnknown("nothing was heard")


def unreached(inner: Processor) -> Hooked:
    """What is asked never arrives; the processor itself can be asked what it knows."""
    return Hooked(inner, before=silent)


def unheard(inner: Processor) -> Hooked:
    """What is asked is done, and the answer is lost."""
    return Hooked(inner, after=silent)


class Dead:
    """A processor that answers nothing at all."""

    captures_in_parts = True

    def check_method(self, payment_method: str) -> None:
        """Every method will do."""

    def __getattr__(self, name: str) -> Any:
        return lambda _: silent()


class Answering:
    """A processor that gives one answer to every capture, refund and void, and does nothing."""

    captures_in_parts = True

    def __init__(self, answer: ProcessorAnswer) -> None:
        self._answer = answer
        self.asked: list[Any] = []

    def operate(self, request: Any) -> ProcessorAnswer:
        self.asked.append(request)
        return self._answer

    def find_operation(self, _: Any) -> ProcessorAnswer | None:
        return self._answer if self.asked else None
