"""Payments and refunds whose outcome the processor has not confirmed yet (202)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from payments_client.errors import OutcomeUnknown

WAITING: Final = frozenset({"pending", "processing", "unknown"})
FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 10.0
LIMIT_SECONDS: Final = 120.0


class Payment(Protocol):
    """What is needed of a payment; one that was just created has no `transactions`."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def status(self) -> str:
        """Its status."""


P = TypeVar("P", bound=Payment)


def outcome_is_known(payment: Payment) -> bool:
    """Whether the payment and each of its captures, refunds and voids has been confirmed.

    `requires_action` and `requires_capture` are known: they wait for a person, not the processor.
    """
    transactions: Sequence[Any] = getattr(payment, "transactions", None) or ()
    pending = any(each.status == "pending" for each in transactions)
    return payment.status not in WAITING and not pending


class Polling:
    """The pauses between the reads of one payment: they double, and the last quarter is random."""

    def __init__(
        self,
        limit_seconds: float = LIMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._limit, self._clock, self._chance = limit_seconds, clock, chance
        self._started = clock()
        self._pause = FIRST_PAUSE_SECONDS

    def pause_after(self, payment: Payment) -> float | None:
        """Seconds until the next read; None if the outcome is known. Raises OutcomeUnknown."""
        if outcome_is_known(payment):
            return None
        waited = self._clock() - self._started
        pause = self._pause * (0.75 + 0.25 * self._chance())
        if waited + pause > self._limit:
            raise OutcomeUnknown(payment.id, waited)
        self._pause = min(MAX_PAUSE_SECONDS, self._pause * 2)
        return pause


def poll(read: Callable[[], P], polling: Polling, sleep: Callable[[float], None] = time.sleep) -> P:
    """Read the payment until its outcome is known. Raises OutcomeUnknown after the limit."""
    while True:
        payment = read()
        pause = polling.pause_after(payment)
        if pause is None:
            return payment
        sleep(pause)


async def poll_async(
    read: Callable[[], Awaitable[P]],
    polling: Polling,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> P:
    """What `poll` does, for asyncio."""
    while True:
        payment = await read()
        pause = polling.pause_after(payment)
        if pause is None:
            return payment
        await sleep(pause)
