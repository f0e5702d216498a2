"""An account's balance at a point in time, from its entries, in a bounded number of reads.

Row 00 has one entry per version with the balance after it, so the last entry up to that time is
found by binary search. Versions are in commit order, but an entry's timestamp is when its request
began, up to LONGEST_COMMIT earlier, so neighboring entries may be out of order by that much.
The shards of a hot account have one entry per operation, without a balance. Their amounts are
summed from the first entry forward or from the last one back, whichever is shorter. The credit
shards share their entries' partitions, so they are summed together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Protocol

from runtime.core.echo import echoed, quoted
from runtime.core.errors import InvalidValue, Unavailable
from runtime.core.scope import Scope
from runtime.core.timestamps import FIRST_DAY, start_of, to_datetime, to_timestamp
from runtime.http.caller import require_found
from runtime.http.request_context import Call
from runtime.ledger.accounts.api import BalanceAnswer, BalanceQuery
from runtime.ledger.accounts.models import PROFILE_SHARD, Account, Posting
from runtime.ledger.entries.models import (
    credit_partitions,
    entry_partition,
    version_sequence,
)
from runtime.ledger.entries.repository import LONGEST_COMMIT, EntryLine
from runtime.ledger.hot_accounts.rules import is_debit_shard

MAX_ENTRIES_ADDED: Final = 20_000
"""Most entries read per request for a hot account: about 6 MB, within the request timeout."""
SEARCHED_LINES: Final = 100
"""Range of versions at which the binary search stops and the entries are scanned: one page."""
ADDED_PAGE: Final = 500
_MILLISECONDS: Final = 3


class Accounts(Protocol):
    """Reads accounts."""

    def get(self, account_id: str, scope: Scope) -> Account | None:
        """Row 00 of an account."""


class Rows(Protocol):
    """Reads all rows of a hot account."""

    def rows_of(self, account_id: str) -> list[Account]:
        """Row 00 and the shards."""


class Lines(Protocol):
    """Reads entries, strongly consistent. See EntryRepository."""

    def lines_down(self, account_id: str, sequence: str, page_size: int) -> Iterator[EntryLine]:
        """Entries of row 00 from `sequence` down, newest first."""

    def lines_until(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of shards from operations that began up to `moment`."""

    def lines_since(
        self, partitions: Iterable[str], moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of shards from operations that began at or after `moment`."""

    def has_operation(self, account_id: str, shard: str, operation_id: str) -> bool:
        """Whether a debit shard has an entry for the operation."""


@dataclass(frozen=True)
class BalanceReads:
    """Dependencies of get_balance."""

    accounts: Accounts
    shard_rows: Rows
    entries: Lines


@dataclass(frozen=True, slots=True)
class _Found:
    balance: int
    sequence: str | None


def get_balance(
    account_id: str, query: BalanceQuery, call: Call, reads: BalanceReads
) -> BalanceAnswer:
    """The account's balance at a point in time; 0 before the account existed.

    Raises NotFound; InvalidValue for a time in the future, or for a hot account with more than
    MAX_ENTRIES_ADDED entries both before and after it; Unavailable while the change stream has not
    yet written the entries that are needed.
    """
    at = _moment(query.at, call.now)
    row = require_found(reads.accounts.get(account_id, call.scope), "account", account_id)
    looked_at = max(at, FIRST_DAY)  # the earliest time that ids can represent
    if row.posting is not Posting.FOLDED:
        result = _of_versions(row, looked_at, reads.entries)
    else:
        result = _Found(_sum_of_rows(row, looked_at, reads), None)
    return BalanceAnswer(balance=result.balance, at=to_timestamp(at), sequence=result.sequence)


def _sum_of_rows(row: Account, at: datetime, reads: BalanceReads) -> int:
    """Sum over all rows of a hot account. Row 00 is read again together with the shards."""
    rows = {each.shard: each for each in reads.shard_rows.rows_of(row.id)}
    profile = rows.pop(PROFILE_SHARD, row)
    adding = _Adding(row.id, at, reads.entries)
    debits = [each for each in rows.values() if is_debit_shard(each.shard)]
    credited = [each for each in rows.values() if not is_debit_shard(each.shard)]
    return (
        _of_versions(profile, at, reads.entries).balance
        + sum(adding.debit_shard(each) for each in debits)
        + adding.credit_shards(credited)
    )


def _moment(text: str, now: datetime) -> datetime:
    """Parse the timestamp, truncated to milliseconds. Raises InvalidValue."""
    whole, dot, rest = text.replace(" ", "+").partition(".")
    digits = "".join(each for each in rest.partition("+")[0] if each.isdigit())
    seconds = whole.removesuffix("Z").removesuffix("+00:00")
    try:
        at = start_of(f"{seconds}.{digits[:_MILLISECONDS]:0<{_MILLISECONDS}}" if dot else seconds)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(
            f"at must be a valid date and time such as 2026-03-14T09:30:00Z; got {quoted(text)}",
            param="at",
        ) from error
    if at > now:
        raise InvalidValue(
            f"at must not be in the future; got {echoed(text)}, it is now {to_timestamp(now)}",
            param="at",
        )
    return at


# ---------------------------------------------------------------- row 00: by its versions


def _of_versions(row: Account, at: datetime, entries: Lines) -> _Found:
    """Balance of row 00 after the last version up to `at`. Raises Unavailable."""
    if to_datetime(row.updated_at) <= at:
        return _Found(row.balance, version_sequence(row.version))
    newest = next(entries.lines_down(row.id, version_sequence(row.version), 1), None)
    known = 0 if newest is None else int(newest.sequence)
    # The current version is later than `at`. Entries before it may still be missing.
    if known < row.version - 1 and (newest is None or not _is_later(newest, at)):
        raise _not_yet(row.id, at)
    if newest is None:
        return _Found(0, None)
    start = _first_later(row.id, known, at, entries)
    for line in entries.lines_down(row.id, version_sequence(start), SEARCHED_LINES):
        if to_datetime(line.created_at) <= at:
            assert line.balance_after is not None, f"{row.id} has no balance at {line.sequence}"
            return _Found(line.balance_after, line.sequence)
    return _Found(0, None)


def _first_later(account_id: str, newest: int, at: datetime, entries: Lines) -> int:
    """A version near the last one up to `at`, after which every version began after `at`."""
    low, high = 0, newest
    while high - low > SEARCHED_LINES:
        middle = (low + high) // 2
        line = next(entries.lines_down(account_id, version_sequence(middle), 1), None)
        if line is not None and _is_later(line, at):
            high = int(line.sequence)
        else:
            low = middle
    return high


def _is_later(line: EntryLine, at: datetime) -> bool:
    """Whether everything committed after this entry began after `at`."""
    return to_datetime(line.created_at) > at + LONGEST_COMMIT


def _not_yet(account_id: str, at: datetime) -> Unavailable:
    return Unavailable(
        f"The entries of {account_id} up to {to_timestamp(at)} are not complete yet; try again"
    )


# ---------------------------------------------------------------- shards: by their sums


@dataclass(frozen=True, slots=True)
class _Shards:
    """Shards as they were read: their balance, their versions, and the partitions of their entries.

    A debit shard has entries without `balance_shard`, so its version is that of None.
    """

    balance: int
    versions: Mapping[str | None, int]
    partitions: Sequence[str]

    def have(self, line: EntryLine) -> bool:
        """Whether the balance, as read, already includes the entry."""
        return (line.fold_version or 0) <= self.versions.get(line.balance_shard, 0)


class _Adding:
    """Sums the shards of one account within a shared limit of entries read."""

    def __init__(self, account_id: str, at: datetime, entries: Lines) -> None:
        self._account_id = account_id
        self._at = at
        self._entries = entries
        self._left = MAX_ENTRIES_ADDED

    def debit_shard(self, row: Account) -> int:
        """The shard's balance at that time. Raises InvalidValue, Unavailable."""
        if self._is_unchanged_since(row):
            return row.balance
        partition = entry_partition(self._account_id, row.shard)
        shards = _Shards(row.balance, {None: row.version}, (partition,))
        return self._sum(shards, backwards=self._is_complete(row))

    def credit_shards(self, rows: Sequence[Account]) -> int:
        """The credit shards' balance at that time. Raises InvalidValue, Unavailable."""
        balance = sum(row.balance for row in rows)
        if all(self._is_unchanged_since(row) for row in rows):
            return balance
        versions: dict[str | None, int] = {row.shard: row.version for row in rows}
        partitions = credit_partitions(self._account_id)
        return self._sum(_Shards(balance, versions, partitions), backwards=True)

    def _is_unchanged_since(self, row: Account) -> bool:
        return to_datetime(row.updated_at) + LONGEST_COMMIT <= self._at

    def _sum(self, shards: _Shards, *, backwards: bool) -> int:
        """The balance of shards at that time.

        It is the current balance minus all later entries, or the sum of all earlier entries. Both
        are read in turns until one is complete.
        """
        until = self._entries.lines_until(shards.partitions, self._at, ADDED_PAGE)
        since = self._entries.lines_since(shards.partitions, self._at - LONGEST_COMMIT, ADDED_PAGE)
        before = after = 0
        while True:
            lines = self._some(until, backwards=backwards)
            before += sum(
                line.amount for line in lines if shards.have(line) and not self._came_later(line)
            )
            if len(lines) < ADDED_PAGE:
                return before
            if not backwards:
                continue
            lines = self._some(since, backwards=backwards)
            after += sum(
                line.amount for line in lines if shards.have(line) and self._came_later(line)
            )
            if len(lines) < ADDED_PAGE:
                return shards.balance - after

    def _is_complete(self, row: Account) -> bool:
        """Whether every change of the balance has its entry. Entries of debits arrive later."""
        if row.last_operation_id is None:
            return True
        return self._entries.has_operation(self._account_id, row.shard, row.last_operation_id)

    def _some(self, lines: Iterator[EntryLine], *, backwards: bool) -> list[EntryLine]:
        taken = list(islice(lines, ADDED_PAGE))
        self._left -= len(taken)
        if self._left >= 0:
            return taken
        if not backwards:
            raise _not_yet(self._account_id, self._at)
        raise InvalidValue(
            f"{self._account_id} changed more than {MAX_ENTRIES_ADDED} times both before and after"
            f" {to_timestamp(self._at)}, which is the limit of one request; choose a time closer"
            " to now or to its first entry, or export its entries",
            param="at",
        )

    def _came_later(self, line: EntryLine) -> bool:
        return to_datetime(line.created_at) > self._at
