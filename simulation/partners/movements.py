"""What moved at a processor, as it would report it: the truth by which the books are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.processors.sandbox.repository import (
    CAPTURED,
    CHARGE,
    DISPUTE,
    REFUND,
    RETURNED,
    WAITING,
)
from runtime.payments.transaction_models import TransactionType
from runtime.reconciliation.settlements.models import LineType

Item = Mapping[str, Any]
"""A row in DynamoDB's typed form."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of money in minor units, seen by the merchant: what comes in is positive.

    `at` is in virtual seconds. The ids are its own, and the platform's if it was given them.
    """

    id: str
    at: float
    kind: LineType
    amount: int
    fee: int
    currency: str
    payment_id: str | None
    transaction_id: str | None = None
    dispute_id: str | None = None
    processor_ids: tuple[str, ...] = ()

    @property
    def net(self) -> int:
        """What it changes the balance at the processor by."""
        return self.amount - self.fee


@dataclass
class SandboxMovements:
    """What moved at the sandbox, by merchant, read from the commits of its own table.

    The sandbox commits once for each thing that it does, so each change of a row is one movement
    or none.
    """

    by_merchant: dict[str, list[Movement]] = field(default_factory=dict)

    def look(self, old: Item | None, new: Item | None, at: float) -> None:
        """One row was written; `old` and `new` are its images."""
        if new is None or "account" not in new:
            return
        movement = _movement(old, new, at)
        if movement is not None and (movement.amount or movement.fee):
            self.by_merchant.setdefault(new["account"]["S"], []).append(movement)


def _movement(old: Item | None, new: Item, at: float) -> Movement | None:
    kind, state = _text(new, "kind"), _text(new, "state")
    if kind == DISPUTE:
        return _of_dispute(old, new, at)
    if kind == REFUND and state == RETURNED:
        return _operation(new, at, LineType.REFUND_FAILURE, _number(new, "amount"), 0)
    approved_late = kind == CHARGE and old is not None and _text(old, "state") == WAITING
    if (old is not None and not approved_late) or state != CAPTURED:
        return None
    amount, fee = _number(new, "amount"), _number(new, "fee")
    if kind == CHARGE:
        payment_id = _text(new, "reference")
        return Movement(
            f"capture-{payment_id}",
            at,
            LineType.CAPTURE,
            amount,
            fee,
            _text(new, "currency"),
            payment_id,
            charge_transaction_id(payment_id),
            processor_ids=(_text(new, "processor_id"),),
        )
    if kind == TransactionType.CAPTURE:
        return _operation(new, at, LineType.CAPTURE, amount, fee)
    if kind == TransactionType.REFUND:
        return _operation(new, at, LineType.REFUND, -amount, 0)
    return None


def _operation(row: Item, at: float, kind: LineType, amount: int, fee: int) -> Movement:
    reference = _text(row, "reference")
    return Movement(
        f"{kind}-{reference}",
        at,
        kind,
        amount,
        fee,
        _text(row, "currency"),
        _text(row, "charge"),
        reference,
        processor_ids=(_text(row, "processor_id"),),
    )


def _of_dispute(old: Item | None, new: Item, at: float) -> Movement | None:
    """A dispute's row has totals: what was withdrawn, reinstated and charged for it."""

    def grown(name: str) -> int:
        return _number(new, name) - (0 if old is None else _number(old, name))

    revision = _number(new, "revision")
    back, taken, fee = grown("reinstated"), grown("amount"), grown("fee")
    kind = LineType.DISPUTE_REVERSAL if back and not taken else LineType.DISPUTE
    return Movement(
        f"{kind}-{_text(new, 'reference')}-{revision}",
        at,
        kind,
        back - taken,
        fee,
        _text(new, "currency"),
        _text(new, "charge"),
        dispute_id=_text(new, "processor_id"),
        processor_ids=(_text(new, "processor_id"),),
    )


def _text(row: Item, name: str) -> str:
    return str(row[name]["S"]) if name in row and "S" in row[name] else ""


def _number(row: Item, name: str) -> int:
    return int(row[name]["N"]) if name in row and "N" in row[name] else 0


STRIPES_KINDS: Final[Mapping[str, LineType]] = {
    "charge": LineType.CAPTURE,
    "refund": LineType.REFUND,
    "refund_failure": LineType.REFUND_FAILURE,
    "dispute": LineType.DISPUTE,
    "dispute_reversal": LineType.DISPUTE_REVERSAL,
}
CATEGORIES: Final[Mapping[LineType, str]] = {kind: name for name, kind in STRIPES_KINDS.items()}
"""What Stripe's reports call each kind."""


def net_by_currency(movements: Sequence[Movement]) -> dict[str, int]:
    """What some movements have changed the balance at the processor by."""
    totals: dict[str, int] = {}
    for movement in movements:
        totals[movement.currency] = totals.get(movement.currency, 0) + movement.net
    return totals
