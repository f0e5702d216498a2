"""Payments and refunds whose outcome the processor has not confirmed yet (202)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
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


def poll(
    read: Callable[[], P],
    payment_id: str,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    chance: Callable[[], float] = random.random,
) -> P:
    """Read the payment until its outcome is known. Raises OutcomeUnknown after the limit.

    The pauses double up to 10 s; the last quarter of each is random.
    """
    started, pause = clock(), FIRST_PAUSE_SECONDS
    while True:
        payment = read()
        if outcome_is_known(payment):
            return payment
        waited = clock() - started
        wait = pause * (0.75 + 0.25 * chance())
        if waited + wait > limit_seconds:
            raise OutcomeUnknown(payment_id, waited)
        sleep(wait)
        pause = min(MAX_PAUSE_SECONDS, pause * 2)
