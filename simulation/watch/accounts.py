"""What a row of an account must be by itself, and what its status and lock allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.watch.transfers import NOTHING, PROFILE, AccountRow, Movement
from simulation.watch.values import Item, number, text

TRANSFER: Final = "trf_"
"""What the id of an operation begins with that begins a transfer or a hold."""
_CLOSED: Final = "closed"

Fault = tuple[str, str]
"""The rule that is violated, and how."""


def movement_of(old: Item | None, new: Item) -> Movement:
    """What a commit changed in a row."""
    return Movement(
        *(
            number(new, name) - (0 if old is None else number(old, name))
            for name in ("balance", "held_out", "held_in")
        )
    )


def account_faults(
    place: AccountRow, old: Item | None, new: Item, change: Movement
) -> Iterator[Fault]:
    """What is wrong with a row after a change; shards have a balance alone."""
    if place.shard != PROFILE:
        return
    yield from _amount_faults(new)
    yield from _closing_faults(old, new)
    if old is None or change == NOTHING:
        return
    if text(old, "status") == _CLOSED:
        yield "closed", f"was closed, and changes by {change}"
    if text(new, "last_operation_id").startswith(TRANSFER):
        yield from _begin_faults(old, new, change)


def _amount_faults(new: Item) -> Iterator[Fault]:
    held_out, spendable = number(new, "held_out"), number(new, "spendable")
    if spendable != number(new, "balance") - held_out + number(new, "credit_limit"):
        yield "spendable", f"can spend {spendable}, which is not balance - held_out + credit_limit"
    if min(held_out, number(new, "held_in")) < 0:
        yield "held", f"holds {held_out} and {number(new, 'held_in')}"
    if spendable < 0 and text(new, "posting") == "immediate":
        yield "floor", f"is immediate, and at {spendable}"


def _closing_faults(old: Item | None, new: Item) -> Iterator[Fault]:
    was = "" if old is None else text(old, "status")
    if text(new, "status") != _CLOSED or was == _CLOSED:
        return
    left = Movement(number(new, "balance"), number(new, "held_out"), number(new, "held_in"))
    if left != NOTHING:
        yield "closed", f"is closed with {left}"


def _begin_faults(old: Item, new: Item, change: Movement) -> Iterator[Fault]:
    """Only an active account is touched by a new transfer, and no locked one debited."""
    if text(old, "status") != "active":
        yield "inactive", f"is {text(old, 'status')}, and a transfer begins on it"
    locked, takes = text(old, "locked_until"), change.balance - change.held_out < 0
    if takes and locked > text(new, "updated_at"):
        yield "locked", f"is locked until {locked}, and is debited"
