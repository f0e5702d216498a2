"""A merchant's payments before a settlement file arrives, with what has happened to them since.

Everything derives from the case's name and a counter, so that the output is deterministic.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.core.ids import repeatable_id
from runtime.payments.posting_ids import charge_transaction_id

FIRST_SALE = datetime(2026, 1, 30, 9, 0, tzinfo=UTC)
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def token(*meaning: str, length: int = 14) -> str:
    """An id in the form that processors use; the same input gives the same id."""
    number = int.from_bytes(hashlib.sha256("/".join(meaning).encode()).digest())
    text = ""
    for _ in range(length):
        number, digit = divmod(number, len(DIGITS))
        text += DIGITS[digit]
    return text


@dataclass
class Fact:
    """A capture, or a refund (`returned`: it came back later), in minor units.

    `status`: `succeeded`, `failed` (nothing was booked), `settled` (by an earlier file, which is
    not in the corpus) or, of a refund, `returned`.
    """

    id: str
    processor_id: str
    amount: int
    fee: int = 0
    status: str = "succeeded"
    settled: bool = False
    return_settled: bool = False


@dataclass
class Dispute:
    """What a bank has taken back: `withdrawn`, `returned` and `fee` as they are booked."""

    id: str
    status: str
    amount: int
    withdrawn: int
    returned: int = 0
    fee: int = 0
    settled_withdrawn: int = 0
    settled_returned: int = 0
    settled_fee: int = 0


@dataclass
class Payment:
    """`authorized` of one that was captured apart from its charge."""

    id: str
    processor_id: str
    amount: int
    currency: str
    authorized: bool = False
    captures: list[Fact] = field(default_factory=list)
    refunds: list[Fact] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    @property
    def capture(self) -> Fact:
        """The first capture."""
        return self.captures[0]


Settled = dict[str, Payment]
"""Payments by id as they were at some time."""


class Books:
    """All payments of one case."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.payments: list[Payment] = []
        self._made = 0

    def payment(
        self, amount: int, currency: str, *, fee: int = 0, status: str = "succeeded"
    ) -> Payment:
        """A payment charged at once. `fee`: as reported by the processor; 0: not reported."""
        paid = self._new(amount, currency)
        charge = charge_transaction_id(paid.id)
        paid.captures.append(Fact(charge, paid.processor_id, amount, fee, status))
        return paid

    def authorized(self, amount: int, currency: str, *captures: int, fee: int = 0) -> Payment:
        """A payment that was authorized and captured in parts; `fee` of each capture."""
        paid = self._new(amount, currency)
        paid.authorized = True
        for part in captures:
            moment, meaning = self._next("capture")
            own = f"cap_{token(*meaning)}"
            paid.captures.append(Fact(repeatable_id("txn", moment, *meaning), own, part, fee))
        return paid

    def refund(self, paid: Payment, amount: int, status: str = "succeeded") -> Fact:
        """A refund of the payment."""
        moment, meaning = self._next("refund")
        made = Fact(
            repeatable_id("txn", moment, *meaning), f"re_{token(*meaning)}", amount, 0, status
        )
        paid.refunds.append(made)
        return made

    def dispute(
        self, paid: Payment, amount: int, *, fee: int = 0, returned: int = 0, status: str = "lost"
    ) -> Dispute:
        """A dispute of the payment; `fee` is what of its fee is booked in the end."""
        _, meaning = self._next("dispute")
        made = Dispute(f"du_{token(*meaning)}", status, amount, amount, returned, fee)
        paid.disputes.append(made)
        return made

    def settled(self) -> Settled:
        """A snapshot of what is settled so far."""
        return copy.deepcopy({paid.id: paid for paid in self.payments})

    def open_balances(self, settled: Settled) -> dict[str, dict[str, int]]:
        """What is booked and was not settled then, by currency: what accounts must come to."""
        sums: dict[str, Counter[str]] = {}
        for paid in self.payments:
            of_currency = sums.setdefault(paid.currency, Counter())
            for amount, fee in _open_amounts(settled.get(paid.id) or _unsettled(paid)):
                of_currency["receivable"] += amount - fee
                of_currency["clearing"] -= amount
                of_currency["fees"] += fee
        accounts = ("receivable", "clearing", "fees")
        return {
            currency: {name: sums[currency][name] for name in accounts} for currency in sorted(sums)
        }

    def as_json(self) -> list[dict[str, Any]]:
        """The payments as they are published."""
        return [_payment_json(paid) for paid in self.payments]

    def _new(self, amount: int, currency: str) -> Payment:
        moment, meaning = self._next("payment")
        paid = Payment(
            repeatable_id("pay", moment, *meaning), f"pi_{token(*meaning)}", amount, currency
        )
        self.payments.append(paid)
        return paid

    def _next(self, kind: str) -> tuple[datetime, tuple[str, ...]]:
        self._made += 1
        return FIRST_SALE + timedelta(minutes=self._made), (self.case, kind, str(self._made))


def _unsettled(paid: Payment) -> Payment:
    """The payment before any file arrived."""
    before = copy.deepcopy(paid)
    for fact in (*before.captures, *before.refunds):
        fact.settled = fact.return_settled = False
    for dispute in before.disputes:
        dispute.settled_withdrawn = dispute.settled_returned = dispute.settled_fee = 0
    return before


def _open_amounts(paid: Payment) -> list[tuple[int, int]]:
    """Signed amounts and fees of what is booked but in no file."""
    found = [
        (each.amount, each.fee)
        for each in paid.captures
        if each.status == "succeeded" and not each.settled
    ]
    for refund in paid.refunds:
        if refund.status != "failed" and not refund.settled:
            found.append((-refund.amount, 0))
        if refund.status == "returned" and not refund.return_settled:
            found.append((refund.amount, 0))
    for dispute in paid.disputes:
        taken = dispute.withdrawn - dispute.settled_withdrawn
        given_back = dispute.returned - dispute.settled_returned
        found.append((given_back - taken, dispute.fee - dispute.settled_fee))
    return found


def _payment_json(paid: Payment) -> dict[str, Any]:
    return {
        "id": paid.id,
        "processor_id": paid.processor_id,
        "amount": paid.amount,
        "currency": paid.currency,
        "authorized_first": paid.authorized,
        "captures": [
            {"id": c.id, "processor_id": c.processor_id, "amount": c.amount, "fee": c.fee}
            | {"status": c.status}
            for c in paid.captures
        ],
        "refunds": [
            {"id": r.id, "processor_id": r.processor_id, "amount": r.amount, "status": r.status}
            for r in paid.refunds
        ],
        "disputes": [
            {"id": d.id, "status": d.status, "amount": d.amount, "withdrawn": d.withdrawn}
            | {"returned": d.returned, "fee": d.fee}
            for d in paid.disputes
        ],
    }
