"""Exported ledgers for Beancount: each transfer once, and the closing balance of every account.

All accounts end at the same time, that of the request: later operations are omitted, and subtracted
from the balance that is read. Earlier operations are committed when a worker begins, because it
waits (settle_seconds). A closing balance comes from the account's rows, not from the sum of its
entries: Beancount checks that the two are equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from runtime.core.errors import Unavailable
from runtime.core.ids import highest_id
from runtime.core.timestamps import to_timestamp
from runtime.ledger.accounts.models import PROFILE_SHARD, Account, Posting
from runtime.ledger.accounts.queries import entries_of
from runtime.ledger.entries.models import Entry
from runtime.ledger.rules import (
    TRANSFER_PREFIX,
    final_legs,
    is_consolidation,
    net_by_account,
    operation_time,
)
from runtime.ledger.transfers.models import Transfer
from runtime.reporting.exports.sources.beancount import (
    BooksTransaction,
    books_account,
    books_balance,
    books_header,
    books_opening,
    books_transaction,
    with_the_rest,
)
from runtime.reporting.exports.sources.chunks import Chunk, by_hundreds, selections
from runtime.reporting.exports.sources.reads import ExportReads, Whose
from runtime.reporting.exports.sources.statements import whole_operations

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Progress in the account `number`: its rows' versions, and its balance at the cut."""

    number: int
    place: str | None = None
    balance: int = 0
    versions: Mapping[str, int] | None = None

    @staticmethod
    def at(position: str | None) -> _Reading:
        return _Reading(*json.loads(position)) if position else _Reading(0)

    def position(self) -> str:
        return json.dumps([self.number, self.place, self.balance, self.versions])


class BooksSource:
    """The ledger of the accounts `account_ids`, which are sorted."""

    def __init__(self, account_ids: Sequence[str], whose: Whose, reads: ExportReads) -> None:
        self._ids, self._whose, self._reads = account_ids, whose, reads
        self._ours = frozenset(account_ids)
        self._cut = operation_time(highest_id("any", whose.moment))
        self._day_after = to_timestamp(whose.moment + _DAY)[:10]

    def header(self) -> bytes:
        """As Source."""
        return books_header(f"{self._whose.owner} until {self._whose.until}").encode()

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source. Raises Unavailable while entries have not been derived yet."""
        reading = _Reading.at(position)
        while reading.number < len(self._ids):
            account = self._reads.accounts.get(self._ids[reading.number], self._whose.scope)
            if account is not None:
                yield from self._of_account(account, reading)
            reading = _Reading(reading.number + 1)
            yield Chunk(b"", 0, reading.position())

    def _of_account(self, account: Account, reading: _Reading) -> Iterator[Chunk]:
        if reading.versions is None:
            rows = self._reads.shard_rows.rows_of(account.id)
            reading = replace(
                reading,
                versions={row.shard: row.version for row in rows},
                balance=sum(row.balance for row in rows),
            )
            self._must_be_derived(account, reading)
            opening = books_opening(
                account.id, account.currency, account.created_at, account.account_type
            )
            yield Chunk(opening.encode(), 0, reading.position())
        statement = whole_operations(account, entries_of(account, reading.place, self._reads))
        for each in selections(statement, position=lambda together: together.position):
            entries = [entry for together in each.entries for entry in together.entries]
            counted = [entry for entry in entries if _is_counted(entry, reading)]
            booked = [entry for entry in counted if self._is_booked(account, entry)]
            later = sum(entry.amount for entry in counted) - sum(e.amount for e in booked)
            reading = replace(reading, place=each.position, balance=reading.balance - later)
            texts = self._transactions(account, booked)
            yield Chunk("".join(texts).encode(), len(texts), reading.position())
        closing = books_balance(account.id, reading.balance, account.currency, self._day_after)
        yield Chunk(closing.encode(), 0, _Reading(reading.number + 1).position())

    def _must_be_derived(self, account: Account, reading: _Reading) -> None:
        """Row 00 has an entry for each version; the newest must exist already."""
        if account.posting is Posting.FOLDED or reading.versions is None:
            return
        newest = next(entries_of(account, None, self._reads), None)
        if newest is None or int(newest.sequence) < reading.versions[PROFILE_SHARD]:
            raise Unavailable(f"The entries of {account.id} are not complete yet; try again")

    def _is_booked(self, account: Account, entry: Entry) -> bool:
        """Whether it is a posting that began before the cut."""
        folded = account.posting is Posting.FOLDED
        return operation_time(entry.operation_id) <= self._cut and not is_consolidation(
            entry.operation_id, folded=folded
        )

    def _transactions(self, account: Account, entries: Sequence[Entry]) -> list[str]:
        moved = [entry for entry in entries if entry.amount]
        ids = {each.transfer_id for each in moved if each.transfer_id is not None}
        wanted = sorted(each for each in ids if each.startswith(TRANSFER_PREFIX))
        known = {
            row.id: row
            for some in by_hundreds(wanted)
            for row in self._reads.transfers.get_many(some, self._whose.scope)
        }
        texts = (self._transaction(account, each, known) for each in moved)
        return [text for text in texts if text is not None]

    def _transaction(
        self, account: Account, entry: Entry, known: Mapping[str, Transfer]
    ) -> str | None:
        """The transfer of an entry, at the first of its exported accounts; else None.

        For a transfer that its reader may not see, only the entry is exported, against `Elsewhere`.
        """
        transfer = known.get(entry.transfer_id or "")
        narration = entry.operation_id
        postings = [(account.id, entry.amount)]
        if transfer is not None:
            nets = {name: net for name, net in net_by_account(final_legs(transfer)).items() if net}
            if account.id != min(nets.keys() & self._ours, default=account.id):
                return None
            narration = transfer.description or transfer.id
            # This account's amount comes from the entry; the others' come from the transfer.
            postings = sorted({**nets, account.id: entry.amount}.items())
        named = [(books_account(name), amount) for name, amount in postings]
        return books_transaction(
            BooksTransaction(
                at=entry.created_at,
                narration=narration,
                operation_id=entry.operation_id,
                transfer_id=entry.transfer_id,
                currency=account.currency,
                postings=with_the_rest(named),
            )
        )


def _is_counted(entry: Entry, reading: _Reading) -> bool:
    """Whether the entry is in the balance that was read."""
    shard = entry.balance_shard or entry.account_shard.rpartition("#")[2]
    version = int(entry.sequence) if shard == PROFILE_SHARD else entry.fold_version
    known = (reading.versions or {}).get(shard, 0)
    return version is not None and version <= known
