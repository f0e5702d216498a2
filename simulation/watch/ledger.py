"""The ledger after every commit: each row changes by what the transfers of the commit say.

The rules, in the words of the design: a transfer is balanced by construction; immediate accounts
change in its own commit; what it leaves to hot accounts is owed until the change stream has added
it, exactly once; facts lower a debit shard in their own commit; a guarded debit sees the whole
balance of a hot account.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from simulation.watch.accounts import TRANSFER, account_faults, movement_of
from simulation.watch.commits import Commit, RowChange
from simulation.watch.edges import is_number_guard
from simulation.watch.transfers import (
    NOTHING,
    PROFILE,
    AccountRow,
    Movement,
    Movements,
    booked_by,
    is_debit_shard,
    left_to_fold,
    place_of,
    transfer_faults,
)
from simulation.watch.values import Item, number, text

_SWEEP: Final = "swp_"
_FIRST_SHARDS: Final = 16
_RECEIVABLE: Final = "acc_receivable_"
"""What the ids of accounts begin with that facts debit, and that have a floor all the same."""


class _Line(NamedTuple):
    """What an entry must say of one version of a row 00 or a debit shard."""

    changed: Movement
    balance_after: int | None


@dataclass(eq=False)
class LedgerRule:
    """Conservation, floors, exact entries, and nothing folded twice."""

    tables: tuple[str, ...] = ("accounts", "transfers", "entries")
    balance: Counter[str] = field(default_factory=Counter)
    """Sum of all rows, by currency."""
    edited: Counter[str] = field(default_factory=Counter)
    """How much of it was put there by hand, by currency."""
    total: Counter[str] = field(default_factory=Counter)
    """Sum of all rows of a hot account, by account."""
    owed: dict[tuple[str, str], int] = field(default_factory=dict)
    """What the change stream has to add yet, by account and operation."""
    unfolded: Counter[str] = field(default_factory=Counter)
    """The same, by currency."""
    debits_owed: Counter[str] = field(default_factory=Counter)
    """What the change stream has to take from each account yet, as a negative sum."""
    credit_shards: dict[str, int] = field(default_factory=dict)
    """How many credit shards the row 00 of each account counts."""
    awaited: dict[tuple[str, str], _Line] = field(default_factory=dict)
    """Entries that the change stream has to write yet, by key."""

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches accounts, transfers or entries."""
        moved = self._accounts(commit)
        if commit.by_hand:
            return
        expected: Movements = {}
        for change in commit.of("transfers"):
            self._transfer(change, expected, commit)
        for change in commit.of("entries"):
            self._entry(change, moved, expected, commit)
        for place in sorted(moved.keys() | expected.keys()):
            found, wanted = moved.get(place, NOTHING), expected.get(place, NOTHING)
            if found != wanted:
                commit.report(
                    "double entry", f"{place} changes by {found}, and its operations say {wanted}"
                )
        if moved:
            self._must_conserve(commit)
            self._floors(commit)

    # ------------------------------------------------------------ accounts

    def _accounts(self, commit: Commit) -> Movements:
        moved: Movements = {}
        for key, old, new in commit.of("accounts"):
            if is_number_guard(key) or new is None:
                continue
            place, change = place_of(key), movement_of(old, new)
            self._must_be_counted(place, old, new, commit)
            self.balance[text(new, "currency")] += change.balance
            if text(new, "posting") == "folded":
                self.total[place.account] += change.balance
            if commit.by_hand:
                self.edited[text(new, "currency")] += change.balance
                continue
            if change != NOTHING:
                moved[place] = change
            self._await_entry(place, new, change)
            for rule, fault in account_faults(place, old, new, change):
                commit.report(rule, f"{place.account} {fault}")
        return moved

    def _await_entry(self, place: AccountRow, new: Item, change: Movement) -> None:
        partition = f"{place.account}#{place.shard}"
        if place.shard == PROFILE:
            sequence, after = f"{number(new, 'version'):012d}", number(new, "balance")
            self.awaited[partition, sequence] = _Line(change, after)
        elif is_debit_shard(place.shard):
            sequence = text(new, "last_operation_id").partition("_")[2]
            self.awaited[partition, sequence] = _Line(change, None)

    def _must_be_counted(
        self, place: AccountRow, old: Item | None, new: Item, commit: Commit
    ) -> None:
        """Readers find a credit shard by the number in row 00, which never falls."""
        if place.shard == PROFILE:
            number_now, before = _credit_shards(new), 0 if old is None else _credit_shards(old)
            self.credit_shards[place.account] = number_now
            if number_now < before and not commit.by_hand:
                commit.report("shards", f"{place.account} has {number_now} shards, not {before}")
        elif place.shard.isdecimal() and not commit.by_hand:
            most = self.credit_shards.get(place.account, 0)
            if int(place.shard) > most:
                commit.report("shards", f"{place} is written, and row 00 counts {most}")

    def _must_conserve(self, commit: Commit) -> None:
        for currency, balance in self.balance.items():
            if balance + self.unfolded[currency] != self.edited[currency]:
                commit.report(
                    "conservation",
                    f"{currency}: all accounts have {balance}, {self.unfolded[currency]} is still "
                    f"to be folded, and {self.edited[currency]} was put there by hand",
                )

    def _floors(self, commit: Commit) -> None:
        """A guarded debit of a hot account leaves at least nothing in all of its rows together."""
        for key, old, new in commit.of("accounts"):
            if new is None or old is None or key[1] != PROFILE or is_number_guard(key):
                continue
            taken = number(new, "spendable") < number(old, "spendable")
            guarded = text(new, "last_operation_id").startswith(TRANSFER)
            if not (taken and guarded and text(new, "posting") == "folded"):
                continue
            left = self.total[key[0]] - number(new, "held_out") + number(new, "credit_limit")
            if key[0].startswith(_RECEIVABLE):
                left += self.debits_owed[key[0]]  # debits never arrive late where there is a floor
            if left < 0:
                commit.report(
                    "floor",
                    f"hot account {key[0]} has {left} left over all rows after the guarded debit "
                    f"{text(new, 'last_operation_id')}",
                )

    # ------------------------------------------------------------ transfers and entries

    def _transfer(self, change: RowChange, expected: Movements, commit: Commit) -> None:
        for fault in transfer_faults(change):
            commit.report("transfer", f"{change.key[0]} {fault}")
        if change.new is None:
            return
        for place, movement in booked_by(change.old, change.new).items():
            _add(expected, place, movement)
        operation, currency = text(change.new, "operation_id"), text(change.new, "currency")
        for account, amount in left_to_fold(change.old, change.new).items():
            self.owed[account, operation] = amount
            self.debits_owed[account] += min(amount, 0)
            self.unfolded[currency] += amount

    def _entry(
        self, change: RowChange, moved: Movements, expected: Movements, commit: Commit
    ) -> None:
        key, old, new = change
        if new is None or old is not None:
            commit.report("entry", f"{key} was changed or deleted, and entries are immutable")
            return
        account, _, shard = key[0].rpartition("#")
        place = AccountRow(account, text(new, "balance_shard") or shard)
        self._must_be_awaited(key, new, commit)
        if shard == PROFILE or (is_debit_shard(shard) and place not in moved):
            return  # written by the change stream, after the commit that it is about
        amount, operation = number(new, "amount"), text(new, "operation_id")
        if operation.startswith(_SWEEP):
            _add(expected, place, Movement(amount))
            _add(expected, AccountRow(account, PROFILE), Movement(-amount))
            return
        owed = self.owed.pop((account, operation), None)
        if owed != amount:
            commit.report("fold", f"{place} is raised by {amount} for {operation}, owed is {owed}")
        _add(expected, place, Movement(amount))
        self.unfolded[text(new, "currency")] -= owed or 0
        self.debits_owed[account] -= min(owed or 0, 0)

    def _must_be_awaited(self, key: tuple[str, ...], new: Item, commit: Commit) -> None:
        shard = key[0].rpartition("#")[2]
        if shard != PROFILE and not is_debit_shard(shard):
            return  # of a credit shard: judged with the commit that changes it
        wanted = self.awaited.pop((key[0], key[1]), None)
        after = number(new, "balance_after") if "balance_after" in new else None
        changed = Movement(*(number(new, name) for name in ("amount", "held_out", "held_in")))
        found = _Line(changed, after)
        if wanted is None:
            commit.report("entry", f"{key} is of no version of its account")
        elif found != wanted:
            commit.report("entry", f"{key} says {found}, and the row changed by {wanted}")


def _credit_shards(row: Item) -> int:
    """What row 00 says; 16 without a number."""
    return number(row, "credit_shards") if "credit_shards" in row else _FIRST_SHARDS


def _add(movements: Movements, place: AccountRow, more: Movement) -> None:
    movements[place] = movements.get(place, NOTHING).plus(more)
