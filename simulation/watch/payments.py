"""Payments after every commit: ceilings, transactions that add up, and money that is booked.

captured = refunded + pending refund + refundable + withheld by disputes; amount = capturable +
pending capture + captured, until the authorization is closed. What a payment has captured and
refunded is the sum of its transactions, and the transfers of the same commit book the difference.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit, RowChange
from simulation.watch.transfers import moved_legs, net_of
from simulation.watch.values import Item, members, number, text, texts

_DONE: Final = ("succeeded", "settled")
_SUMS: Final = {
    "amount_captured": ("capture", True),
    "pending_capture_minor": ("capture", False),
    "amount_refunded": ("refund", True),
    "pending_refund_minor": ("refund", False),
}
"""Attributes of a payment, and the transactions that they are the sum of: (type, done)."""
_FIXED: Final = {
    "payments": ("amount", "currency", "merchant_id", "created_at", "capture_method", "processor"),
    "transactions": ("amount", "currency", "merchant_id", "payment_id", "type", "created_at"),
}


@dataclass(eq=False)
class PaymentRule:
    """Ceilings and sums of each payment that a commit touches, and what it books."""

    tables: tuple[str, ...] = ("payments", "transactions")
    _rows: dict[str, Item] = field(default_factory=dict)
    _sums: dict[str, Counter[tuple[str, bool]]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    _edited: set[str] = field(default_factory=set)

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches payments or their transactions."""
        touched: dict[str, None] = {}
        for change in commit.of("payments"):
            touched[change.key[0]] = None
            if change.new is not None:
                self._rows[change.key[0]] = change.new
        for change in commit.of("transactions"):
            touched[self._add(change)] = None
        if commit.by_hand:
            self._edited.update(_of_another_amount(commit))
            return
        for table in self.tables:
            for change in commit.of(table):
                self._must_keep(table, change, commit)
        for payment_id in touched:
            if payment_id not in self._edited:
                self._judge(payment_id, commit)
        self._must_be_booked(commit)

    def _add(self, change: RowChange) -> str:
        """Keep the sums of the transaction's payment; its id."""
        payment_id = ""
        for row, sign in ((change.old, -1), (change.new, +1)):
            if row is None:
                continue
            payment_id, status = text(row, "payment_id"), text(row, "status")
            if status != "failed":
                kind = (text(row, "type"), status in _DONE)
                self._sums[payment_id][kind] += sign * number(row, "amount")
        return payment_id

    def _must_keep(self, table: str, change: RowChange, commit: Commit) -> None:
        key, old, new = change
        if old is None or new is None:
            return
        for name in _FIXED[table]:
            if old.get(name) != new.get(name):
                commit.report("payment", f"{table} {key[0]} changes its {name}")
        if table == "payments":
            ids = texts(old, "transaction_ids")
            if texts(new, "transaction_ids")[: len(ids)] != ids:
                commit.report("payment", f"{key[0]} forgets a transaction")
        elif len({text(old, "settlement_id"), text(new, "settlement_id"), ""}) == 3:
            commit.report("settled", f"{key[0]} is settled twice")

    def _judge(self, payment_id: str, commit: Commit) -> None:
        row = self._rows.get(payment_id)
        if row is None:
            commit.report("payment", f"{payment_id} has a transaction, and does not exist")
            return
        for fault in payment_faults(row):
            commit.report("ceiling", f"{payment_id} {fault}")
        for name, kind in _SUMS.items():
            if number(row, name) != self._sums[payment_id][kind]:
                commit.report(
                    "payment sums",
                    f"{payment_id}: {name} is {number(row, name)}, its transactions add up to "
                    f"{self._sums[payment_id][kind]}",
                )

    def _must_be_booked(self, commit: Commit) -> None:
        """The clearing account moves by what payments captured, refunded and lost to disputes."""
        wanted: Counter[str] = Counter()
        for key, old, new in commit.of("payments"):
            if new is not None and key[0] not in self._edited:
                wanted[key[0]] += _taken_from_clearing(old, new)
        for transfer in commit.of("transfers"):
            new = transfer.new
            if new is None or not text(new, "payment_id") or text(new, "settlement_id"):
                continue
            payment_id = text(new, "payment_id")
            if payment_id not in self._edited:
                clearing = f"acc_clearing_{text(new, 'currency')}"
                wanted[payment_id] += net_of(moved_legs(new)).get(clearing, 0)
        for payment_id, unbooked in wanted.items():
            if unbooked:
                commit.report(
                    "posting",
                    f"{payment_id}: {unbooked} of what was captured, refunded or disputed is not "
                    "what the transfers of the same commit book",
                )


def _of_another_amount(commit: Commit) -> Iterator[str]:
    """Payments whose amounts, or whose transactions, were edited by hand."""
    for key, old, new in commit.of("payments"):
        if any((old or {}).get(name) != (new or {}).get(name) for name in (*_AMOUNTS, "disputes")):
            yield key[0]
    for _, old, new in commit.of("transactions"):
        yield text(new or old or {}, "payment_id")


def payment_faults(row: Item) -> list[str]:
    """What is wrong with a payment by itself."""
    amounts = {name: number(row, name) for name in _AMOUNTS}
    faults = [f"has {name} {amount}" for name, amount in amounts.items() if amount < 0]
    captured, amount = amounts["amount_captured"], amounts["amount"]
    if captured > amount:
        faults.append(f"captured {captured} of {amount}")
    if amounts["amount_refunded"] + amounts["pending_refund_minor"] > captured:
        faults.append(f"refunds more than the {captured} that it captured: {amounts}")
    withheld = sum(number(each, "withheld") for each in members(row, "disputes").values())
    left = amounts["refundable_minor"] + amounts["pending_refund_minor"]
    if left + amounts["amount_refunded"] + withheld != captured:
        faults.append(f"{amounts}, {withheld} withheld: they do not add up to what it captured")
    capturable = amounts["capturable_minor"] + amounts["pending_capture_minor"]
    if text(row, "status") == "requires_capture":
        if capturable + captured != amount:
            faults.append(f"{amounts}: they do not add up to what was authorized")
    elif capturable:
        faults.append(f"is {text(row, 'status')}, and {capturable} could still be captured")
    if text(row, "status") in ("failed", "canceled") and captured:
        faults.append(f"is {text(row, 'status')}, and has captured {captured}")
    return faults


_AMOUNTS: Final = (
    *("amount", "amount_captured", "amount_refunded", "fee"),
    *("capturable_minor", "refundable_minor", "pending_capture_minor", "pending_refund_minor"),
)


def _taken_from_clearing(old: Item | None, new: Item) -> int:
    return _owed_by_clearing(new) - (0 if old is None else _owed_by_clearing(old))


def _owed_by_clearing(row: Item) -> int:
    """What processors owe for a payment: captured, less refunded and kept by disputes."""
    kept = sum(
        number(each, "withdrawn") - number(each, "returned")
        for each in members(row, "disputes").values()
    )
    return number(row, "amount_captured") - number(row, "amount_refunded") - kept
