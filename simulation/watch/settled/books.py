"""The ledger at rest: nothing is left to fold, every version has its entry, every hold its sum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from simulation.watch.ledger import LedgerRule
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import booked_by, left_to_fold, place_of
from simulation.watch.values import number, text

Amounts = dict[str, tuple[int, int, int]]
"""balance, held_out and held_in, by account."""


def ledger_faults(rows: Rows, ledger: LedgerRule, edited: Set[str]) -> Faults:
    """What is wrong with the ledger. `edited`: accounts whose rows were changed by hand."""
    for (account, operation), amount in sorted(ledger.owed.items()):
        yield f"{amount} of {operation} was never added to {account}"
    for (place, sequence), line in sorted(ledger.awaited.items()):
        if place.partition("#")[0] not in edited:
            yield f"{place} has no entry {sequence}: {line}"
    found, wanted = account_amounts(rows), transfer_amounts(rows)
    for account in sorted(found.keys() | wanted.keys()):
        if found.get(account) != wanted.get(account, (0, 0, 0)) and account not in edited:
            yield (
                f"{account} has {found.get(account)} (balance, held_out, held_in), its transfers "
                f"add up to {wanted.get(account)}"
            )


def account_amounts(rows: Rows) -> Amounts:
    """What each account has, over all of its rows."""
    sums: dict[str, Counter[str]] = {}
    for item in rows.of("accounts"):
        if "balance" in item:
            account = place_of((text(item, "id"), text(item, "shard"))).account
            mine = sums.setdefault(account, Counter())
            for name in ("balance", "held_out", "held_in"):
                mine[name] += number(item, name)
    return {name: (c["balance"], c["held_out"], c["held_in"]) for name, c in sums.items()}


def transfer_amounts(rows: Rows) -> Amounts:
    """What all transfers together say that each account has."""
    sums: dict[str, list[int]] = {}
    for item in rows.of("transfers"):
        for place, movement in booked_by(None, item).items():
            mine = sums.setdefault(place.account, [0, 0, 0])
            for at, amount in enumerate(movement):
                mine[at] += amount
        for account, amount in left_to_fold(None, item).items():
            sums.setdefault(account, [0, 0, 0])[0] += amount
    return {name: (mine[0], mine[1], mine[2]) for name, mine in sums.items()}
