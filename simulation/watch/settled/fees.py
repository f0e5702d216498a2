"""Processors' fees at rest: a payment has those of its parts, and they are booked as fees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import moved_legs, net_of
from simulation.watch.values import members, number, text


def fee_faults(rows: Rows, edited: Set[str]) -> Faults:
    """Payments whose fee is not the sum of their transactions', or not what was booked.

    What a settlement file alone knew (`learned_fee`) is booked by the settlement.
    """
    summed, known = Counter[str](), Counter[str]()
    for item in rows.of("transactions"):
        payment_id, fee = text(item, "payment_id"), number(item, "fee")
        summed[payment_id] += fee
        known[payment_id] += fee - number(item, "learned_fee")
    booked = Counter[str]()
    for item in rows.of("transfers"):
        payment_id = text(item, "payment_id")
        if payment_id and not text(item, "settlement_id"):
            fees = f"acc_fees_{text(item, 'currency')}"
            booked[payment_id] += net_of(moved_legs(item)).get(fees, 0)
    for name, item in sorted(rows.by_id("payments").items()):
        if name in edited:
            continue
        if number(item, "fee") != summed[name]:
            yield f"{name} has the fee {number(item, 'fee')}, its parts {summed[name]}"
        disputes = sum(number(each, "fee") for each in members(item, "disputes").values())
        if booked[name] != known[name] + disputes:
            yield f"{name} has fees of {known[name] + disputes}, and {booked[name]} are booked"
