"""What a transfer's row says must change in accounts, computed from the row alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from simulation.watch.commits import RowChange
from simulation.watch.values import Item, flag, maps, number, text, texts

PROFILE: Final = "00"
"""The shard of an account that has its profile, and the balance of an immediate one."""


def is_debit_shard(shard: str) -> bool:
    """Whether this is one of the rows of a receivable that refunds and disputes lower at once."""
    return shard.startswith("d")


class AccountRow(NamedTuple):
    """One row of an account."""

    account: str
    shard: str


def place_of(key: tuple[str, ...]) -> AccountRow:
    """The row with this key: the partition key of a shard is the account's id with the shard."""
    return AccountRow(key[0].removesuffix(f"#{key[1]}"), key[1])


class Movement(NamedTuple):
    """What changes in one row of an account, in minor units."""

    balance: int = 0
    held_out: int = 0
    held_in: int = 0

    def plus(self, other: Movement) -> Movement:
        """Both together."""
        return Movement(
            self.balance + other.balance,
            self.held_out + other.held_out,
            self.held_in + other.held_in,
        )


NOTHING: Final = Movement()
Movements = dict[AccountRow, Movement]
"""What changes in each row of accounts."""
Legs = tuple[tuple[str, str, int], ...]
"""(from, to, minor units) each."""


def legs_of(row: Item) -> Legs:
    """The legs of a transfer as they were ordered."""
    return tuple(
        (text(leg, "from_account_id"), text(leg, "to_account_id"), number(leg, "amount"))
        for leg in maps(row, "legs")
    )


def moved_legs(row: Item) -> Legs:
    """The legs of a processed transfer as they were moved: of a hold, what was posted of it."""
    legs, posted = legs_of(row), number(row, "posted_amount")
    if not text(row, "operation_id").startswith(_POST) or posted == total_of(legs):
        return legs
    return tuple((source, target, posted) for source, target, _ in legs)


def total_of(legs: Legs) -> int:
    """The sum of all legs."""
    return sum(amount for _, _, amount in legs)


def is_posting(row: Item) -> bool:
    """Whether the transfer books what happened to a payment or settlement: fees are legs too."""
    return bool(text(row, "payment_id") or text(row, "settlement_id"))


def net_of(legs: Legs) -> dict[str, int]:
    """Signed change of each account."""
    net: Counter[str] = Counter()
    for source, target, amount in legs:
        net[source] -= amount
        net[target] += amount
    return dict(net)


def booked_by(old: Item | None, new: Item) -> Movements:
    """What this step of a transfer changes in accounts within its own commit."""
    was = None if old is None else text(old, "status")
    now = text(new, "status")
    if now in (was, "failed"):
        return {}
    if now == "pending":
        return _held(new, +1)
    released = _held(new, -1) if was == "pending" else {}
    if now != "processed":
        return released
    folded, debited = texts(new, "folded_accounts"), texts(new, "debited_accounts")
    for account, amount in net_of(moved_legs(new)).items():
        if account in folded:
            continue
        shard = text(new, "debit_shard") if account in debited else PROFILE
        place = AccountRow(account, shard)
        released[place] = released.get(place, NOTHING).plus(Movement(amount))
    return released


def left_to_fold(old: Item | None, new: Item) -> Mapping[str, int]:
    """What this step leaves to the change stream, by hot account."""
    was = None if old is None else text(old, "status")
    if text(new, "status") != "processed" or was == "processed":
        return {}
    folded = texts(new, "folded_accounts")
    nets = net_of(moved_legs(new))
    return {account: nets[account] for account in folded if nets.get(account)}


def transfer_faults(change: RowChange) -> list[str]:
    """What is wrong with a step of a transfer, beside its status."""
    _, old, new = change
    if new is None:
        return []
    faults = []
    total = total_of(legs_of(new))
    if total <= 0 or not (is_posting(new) or total == number(new, "amount")):
        faults.append(f"has legs of {total}, and the amount {number(new, 'amount')}")
    if text(new, "status") == "processed" and not 0 < number(new, "posted_amount") <= total:
        faults.append(f"posts {number(new, 'posted_amount')} of {total}")
    if old is None or old == new:
        return faults
    if text(old, "status") != "pending":
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        return [*faults, f"was final ({text(old, 'status')}), and changes {changed}"]
    faults += [f"changes its {name}" for name in _FIXED if old.get(name) != new.get(name)]
    in_time = text(new, "updated_at") < text(old, "expires_at")
    if in_time == (text(new, "status") == "expired"):
        faults.append(
            f"was {text(new, 'status')} at {text(new, 'updated_at')}, and expires at "
            f"{text(old, 'expires_at')}"
        )
    return faults


_POST: Final = "pst_"
"""What the id of an operation begins with that posts a hold."""
_FIXED: Final = (
    *("legs", "amount", "currency", "merchant_id", "customer_id", "payment_id", "settlement_id"),
    *("folded_accounts", "debited_accounts", "debit_shard", "held_in_counted", "expires_at"),
)
"""What never changes in a transfer."""


def _held(row: Item, sign: int) -> Movements:
    """What a hold sets aside, or gives back: of hot payees only what is on its way to them."""
    folded, counted = texts(row, "folded_accounts"), flag(row, "held_in_counted")
    held: Movements = {}
    for account, net in net_of(legs_of(row)).items():
        if account in folded:
            if counted and net > 0:
                held[AccountRow(account, PROFILE)] = Movement(held_in=sign * net)
        elif net:
            held[AccountRow(account, PROFILE)] = Movement(
                0, sign * max(-net, 0), sign * max(net, 0)
            )
    return held
