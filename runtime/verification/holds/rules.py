"""Open holds: the held amounts of each account at the cut.

A hold is open from its transfer's operation until the operation that ends it. The ids of both
contain their time, so whether a hold was open at the cut does not depend on when its row is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from runtime.ledger.rules import is_hold_end, movements_of_hold, operation_time
from runtime.ledger.transfers.models import Leg, TransferStatus


class Held(NamedTuple):
    """Held amounts of an account, outgoing and incoming, in minor units."""

    out: int = 0
    coming: int = 0


NOTHING_HELD = Held()


def was_open(transfer_id: str, operation_id: str, status: str, cut_mark: str) -> bool:
    """Whether the transfer was an open hold at the cut.

    A row whose status is final without an operation that ends holds was not a hold.
    """
    if operation_time(transfer_id) > cut_mark:
        return False
    if status == TransferStatus.PENDING:
        return True
    return is_hold_end(operation_id) and operation_time(operation_id) > cut_mark


def held_by(legs: Iterable[Leg], uncounted: Iterable[str] = ()) -> dict[str, Held]:
    """Held amounts per account of an open hold.

    `uncounted`: hot accounts whose `held_in` does not include the hold (see Transfer).
    """
    left_out = frozenset(uncounted)
    held = {
        each.account_id: Held(each.held_out, each.held_in)
        for each in movements_of_hold(legs)
        if each.account_id not in left_out
    }
    return {account: each for account, each in held.items() if each != NOTHING_HELD}


def held_fingerprint(account_id: str, held: Held) -> int:
    """Linear fingerprint of held amounts: those of the holds add up to that of the account."""
    return held.out * weight(account_id, "out") + held.coming * weight(account_id, "in")


def weight(*of: str) -> int:
    """A 64-bit odd factor derived from the parts of a key, for linear fingerprints."""
    text = "\0".join(of).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") | 1
