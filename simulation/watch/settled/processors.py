"""What moved at the processors and what the books say of each payment, to the unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from typing import Protocol

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import moved_legs, net_of
from simulation.watch.values import Item, members, number, text


class MovementLike(Protocol):
    """One movement of money at a processor; what comes in is positive."""

    @property
    def payment_id(self) -> str | None:
        """The platform's payment, if the processor was given its id."""
        ...

    @property
    def amount(self) -> int:
        """Gross, in minor units."""
        ...

    @property
    def currency(self) -> str:
        """Its currency."""
        ...


def processor_faults(rows: Rows, movements: Iterable[MovementLike], edited: Set[str]) -> Faults:
    """Payments that the processor has moved another amount for, and clearing that differs."""
    there: Counter[str] = Counter()
    by_currency: Counter[str] = Counter()
    for movement in movements:
        there[movement.payment_id or ""] += movement.amount
        by_currency[movement.currency.upper()] += movement.amount
    payments = rows.by_id("payments")
    for name in sorted(there.keys() | payments.keys()):
        here = _kept(payments[name]) if name in payments else 0
        if here != there[name] and name not in edited:
            yield f"{name} has {here}, the processor has moved {there[name]}"
    booked: Counter[str] = Counter()
    for transfer in rows.of("transfers"):
        if text(transfer, "payment_id") and not text(transfer, "settlement_id"):
            currency = text(transfer, "currency")
            booked[currency] -= net_of(moved_legs(transfer)).get(f"acc_clearing_{currency}", 0)
    for currency in sorted(booked.keys() | by_currency.keys()):
        if booked[currency] != by_currency[currency] and not edited:
            yield (
                f"clearing of {currency} is {booked[currency]} for payments, processors have "
                f"moved {by_currency[currency]}"
            )


def account_faults(rows: Rows, charged: Iterable[tuple[str, str]]) -> Faults:
    """Charges at another account than the payment names: there it is asked about them.

    `charged`: the account of each charge at a processor, and our payment.
    """
    payments = rows.by_id("payments")
    for account, name in charged:
        if name in payments and (named := text(payments[name], "processor_account")) != account:
            yield f"{name} names the account {named}, and was charged at {account}"


def _kept(payment: Item) -> int:
    """Captured, less refunded, less what the customer's bank has taken back."""
    disputed = sum(
        number(each, "withdrawn") - number(each, "returned")
        for each in members(payment, "disputes").values()
    )
    return number(payment, "amount_captured") - number(payment, "amount_refunded") - disputed
