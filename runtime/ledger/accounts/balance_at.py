"""An account's balance at a moment, from its entries, in a bounded number of reads.

Row 00 has an entry per version, each with the balance after it: the last one until the moment is
searched for. Versions are in the order of commits, and an entry says when its request began, up to
LONGEST_COMMIT before: so neighbours may be out of order by that much. A folded account's other rows
have an entry per operation without a balance: they are added up, from whichever end of time is
nearer.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from runtime.ledger.entries.models import version_sequence
from runtime.ledger.entries.repository import LONGEST_COMMIT, EntryLine
from runtime.ledger.hot_accounts.rules import is_debit_shard

MAX_ENTRIES_ADDED: Final = 20_000
"""Entries that one answer adds up for a folded account: some 6 MB, within the request's time."""
SEARCHED_LINES: Final = 100
"""Versions among which a search ends and a walk begins: one page."""
ADDED_PAGE: Final = 500
_MILLISECONDS: Final = 3


class Accounts(Protocol):
    """Where accounts are read."""

    def get(self, account_id: str, scope: Scope) -> Account | None:
        """Row 00 of an account."""


class Rows(Protocol):
    """Where all rows of a folded account are read."""

    def rows_of(self, account_id: str) -> list[Account]:
        """Row 00 and the shards."""


class Lines(Protocol):
    """Where entries are read, strongly consistent.

    ledger/entries/repository.py says what each is.
    """

    def lines_down(self, account_id: str, sequence: str, page_size: int) -> Iterator[EntryLine]:
        """Entries of row 00 from `sequence` down."""

    def lines_until(
        self, account_id: str, shard: str, moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of a shard by operations that began until `moment`."""

    def lines_since(
        self, account_id: str, shard: str, moment: datetime, page_size: int
    ) -> Iterator[EntryLine]:
        """Entries of a shard by operations that began since `moment`."""

    def has_operation(self, account_id: str, shard: str, operation_id: str) -> bool:
        """Whether a shard has its entry of an operation."""


@dataclass(frozen=True)
class BalanceReads:
    """What finding a balance works with."""

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
    """The account's balance at a moment; 0 before there was the account.

    Raises NotFound; InvalidValue for a moment in the future, or one of a folded account that has
    more than MAX_ENTRIES_ADDED entries on both sides of it; Unavailable while entries that the
    answer needs are still to be made from the change stream.
    """
    at = _moment(query.at, call.now)
    row = require_found(reads.accounts.get(account_id, call.scope), "account", account_id)
    looked_at = max(at, FIRST_DAY)  # ids and spans of time end somewhere
    if row.posting is not Posting.FOLDED:
        result = _of_versions(row, looked_at, reads.entries)
    else:
        result = _Found(_sum_of_rows(row, looked_at, reads), None)
    return BalanceAnswer(balance=result.balance, at=to_timestamp(at), sequence=result.sequence)


def _sum_of_rows(row: Account, at: datetime, reads: BalanceReads) -> int:
    """What all rows of a folded account had; row 00 is read again, together with the others."""
    rows = {each.shard: each for each in reads.shard_rows.rows_of(row.id)}
    profile = rows.pop(PROFILE_SHARD, row)
    adding = _Adding(row.id, at, reads.entries)
    return _of_versions(profile, at, reads.entries).balance + sum(
        adding.shard(each) for each in rows.values()
    )


def _moment(text: str, now: datetime) -> datetime:
    """The moment, to the millisecond. Raises InvalidValue."""
    whole, dot, rest = text.replace(" ", "+").partition(".")
    digits = "".join(each for each in rest.partition("+")[0] if each.isdigit())
    seconds = whole.removesuffix("Z").removesuffix("+00:00")
    try:
        at = start_of(f"{seconds}.{digits[:_MILLISECONDS]:0<{_MILLISECONDS}}" if dot else seconds)
    except (ValueError, OverflowError) as error:
        raise InvalidValue(
            f"at must be a time of the calendar such as 2026-03-14T09:30:00Z; got {quoted(text)}",
            param="at",
        ) from error
    if at > now:
        raise InvalidValue(
            f"at must not be in the future; got {echoed(text)}, the time is {to_timestamp(now)}",
            param="at",
        )
    return at


# ---------------------------------------------------------------- row 00: by its versions


def _of_versions(row: Account, at: datetime, entries: Lines) -> _Found:
    """What the row had after the last version until `at`. Raises Unavailable."""
    if to_datetime(row.updated_at) <= at:
        return _Found(row.balance, version_sequence(row.version))
    newest = next(entries.lines_down(row.id, version_sequence(row.version), 1), None)
    known = 0 if newest is None else int(newest.sequence)
    # The row's own version is later than `at`; of those before it, only late ones may be missing.
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
    """A version behind which every one began after `at`, and not far from the last that did not."""
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
    """Whether whatever was committed after this entry began after `at`."""
    return to_datetime(line.created_at) > at + LONGEST_COMMIT


def _not_yet(account_id: str, at: datetime) -> Unavailable:
    return Unavailable(
        f"The entries of {account_id} until {to_timestamp(at)} are not complete yet; try again"
    )


# ---------------------------------------------------------------- shards: by their sums


class _Adding:
    """Adds up the shards of one account, within one budget of entries."""

    def __init__(self, account_id: str, at: datetime, entries: Lines) -> None:
        self._account_id = account_id
        self._at = at
        self._entries = entries
        self._left = MAX_ENTRIES_ADDED

    def shard(self, row: Account) -> int:
        """What the shard held at the moment. Raises InvalidValue, Unavailable.

        Its balance less all that came later, or the sum of all until then: both are read by turns,
        until one of them is complete.
        """
        if to_datetime(row.updated_at) + LONGEST_COMMIT <= self._at:
            return row.balance
        until = self._entries.lines_until(self._account_id, row.shard, self._at, ADDED_PAGE)
        since = self._entries.lines_since(
            self._account_id, row.shard, self._at - LONGEST_COMMIT, ADDED_PAGE
        )
        backwards = self._is_complete(row)
        before = after = 0
        while True:
            lines = self._some(until, backwards=backwards)
            before += sum(
                line.amount for line in lines if _is_in(row, line) and not self._came_later(line)
            )
            if len(lines) < ADDED_PAGE:
                return before
            if not backwards:
                continue
            lines = self._some(since, backwards=backwards)
            after += sum(
                line.amount for line in lines if _is_in(row, line) and self._came_later(line)
            )
            if len(lines) < ADDED_PAGE:
                return row.balance - after

    def _is_complete(self, row: Account) -> bool:
        """Whether the shard has all entries of what its balance has: those of debits come later."""
        if not is_debit_shard(row.shard) or row.last_operation_id is None:
            return True
        return self._entries.has_operation(row.id, row.shard, row.last_operation_id)

    def _some(self, lines: Iterator[EntryLine], *, backwards: bool) -> list[EntryLine]:
        taken = list(islice(lines, ADDED_PAGE))
        self._left -= len(taken)
        if self._left >= 0:
            return taken
        if not backwards:
            raise _not_yet(self._account_id, self._at)
        raise InvalidValue(
            f"{self._account_id} changed more than {MAX_ENTRIES_ADDED} times both before and after"
            f" {to_timestamp(self._at)}, the most that one request adds up; ask for a "
            f"time nearer to"
            " now or to its beginning, or export its entries",
            param="at",
        )

    def _came_later(self, line: EntryLine) -> bool:
        return to_datetime(line.created_at) > self._at


def _is_in(row: Account, line: EntryLine) -> bool:
    """Whether the balance of the shard, as it was read, has it already."""
    return (line.fold_version or 0) <= row.version
