"""Open holds in a proof: what is held of each account, as it was at the cut.

A hold is open from its transfer's operation until the operation that ends it. Both say when they
were committed, so whether a hold was open at the cut is the same whenever its row is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from runtime.ledger.rules import is_hold_end, movements_of_hold, operation_time
from runtime.ledger.transfers.models import Leg, TransferStatus


class Held(NamedTuple):
    """Minor units that are set aside of an account, and that are coming to it."""

    out: int = 0
    coming: int = 0


NOTHING_HELD = Held()


def was_open(transfer_id: str, operation_id: str, status: str, cut_mark: str) -> bool:
    """Whether the transfer was an open hold at the cut.

    A row that ended without an operation that ends holds is none: nothing has released it.
    """
    if operation_time(transfer_id) > cut_mark:
        return False
    if status == TransferStatus.PENDING:
        return True
    return is_hold_end(operation_id) and operation_time(operation_id) > cut_mark


def held_by(legs: Iterable[Leg], uncounted: Iterable[str] = ()) -> dict[str, Held]:
    """What an open hold holds of each account.

    `uncounted`: the folded accounts of a hold that began before `held_in` was kept for them.
    """
    left_out = frozenset(uncounted)
    held = {
        each.account_id: Held(each.held_out, each.held_in)
        for each in movements_of_hold(legs)
        if each.account_id not in left_out
    }
    return {account: each for account, each in held.items() if each != NOTHING_HELD}


def held_fingerprint(account_id: str, held: Held) -> int:
    """A sum that stands for what is held: linear, so that holds add up to what an account has."""
    return held.out * weight(account_id, "out") + held.coming * weight(account_id, "in")


def weight(*of: str) -> int:
    """64 bits, never zero, that amounts of one thing are multiplied by before they are added up."""
    text = "\0".join(of).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") | 1
