"""The rows that a segment reads: all of them in a full run, the changed ones in an incremental."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from pydantic import BaseModel

from runtime.dynamodb.expressions import Key
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, ScanPage
from runtime.ledger.accounts.models import account_of_row
from runtime.verification.accounts.rules import BalanceRow
from runtime.verification.books_repository import TransferFacts, VerificationReads
from runtime.verification.changes.notes import Subject
from runtime.verification.payments.rules import PaymentFacts
from runtime.verification.settlements.rules import LineFacts

ACCOUNTS_AT_ONCE = 10
"""Accounts per page, of up to 81 rows each, or 321 of an account that has grown."""
View = TypeVar("View", bound=BaseModel)


class Pages(Protocol):
    """The rows of one segment, page by page, after the cursor `after`."""

    def accounts(self, after: Key | None) -> Iterator[ScanPage[BalanceRow]]:
        """Rows of the accounts table. The rows of an account are together, sorted by shard."""
        ...

    def transfers(self, after: Key | None) -> Iterator[ScanPage[TransferFacts]]:
        """Transfers."""
        ...

    def payments(self, after: Key | None) -> Iterator[ScanPage[PaymentFacts]]:
        """Payments."""
        ...

    def settlement_lines(self, after: Key | None) -> Iterator[ScanPage[LineFacts]]:
        """Lines of settlements."""
        ...

    def is_suspect(self, subject: Subject, identifier: str) -> bool:
        """Whether a row must be verified one by one, even if the sums agree."""
        ...

    def suspects(self, subject: Subject) -> list[str]:
        """All suspect ids, of rows that may have been deleted."""
        ...


class AllRows:
    """All rows of a segment."""

    def __init__(self, books: VerificationReads, segment: int) -> None:
        self._books, self._segment = books, segment

    def accounts(self, after: Key | None) -> Iterator[ScanPage[BalanceRow]]:
        """Rows of the accounts table."""
        return self._books.accounts(self._segment, after)

    def transfers(self, after: Key | None) -> Iterator[ScanPage[TransferFacts]]:
        """Transfers."""
        return self._books.transfers(self._segment, after)

    def payments(self, after: Key | None) -> Iterator[ScanPage[PaymentFacts]]:
        """Payments."""
        return self._books.payments(self._segment, after)

    def settlement_lines(self, after: Key | None) -> Iterator[ScanPage[LineFacts]]:
        """Lines of settlements."""
        return self._books.settlement_lines(self._segment, after)

    def is_suspect(self, _subject: Subject, _identifier: str) -> bool:
        """Nothing is: the sums of a full run include every row."""
        return False

    def suspects(self, _subject: Subject) -> list[str]:
        """None."""
        return []


class ChangedRows:
    """The changed rows of a segment. `noted` reads their ids, when they are first needed."""

    def __init__(
        self,
        books: VerificationReads,
        noted: Callable[[], Mapping[Subject, Mapping[str, bool]]],
    ) -> None:
        self._books, self._read = books, noted
        self._noted: Mapping[Subject, Mapping[str, bool]] | None = None

    def accounts(self, after: Key | None) -> Iterator[ScanPage[BalanceRow]]:
        """Rows of the changed accounts: all of them, because few are known to have changed."""
        last = None if after is None else str(after["id"])
        account = None if after is None else account_of_row(str(after["id"]), str(after["shard"]))
        ids = self._after(Subject.ACCOUNTS, account, inclusive=True)
        for batch in _batches(ids, ACCOUNTS_AT_ONCE):
            rows = (row for account_id in batch for row in self._books.rows_of(account_id))
            in_order = sorted(rows, key=lambda row: row.id)
            yield _page([row for row in in_order if last is None or row.id > last])

    def transfers(self, after: Key | None) -> Iterator[ScanPage[TransferFacts]]:
        """The changed transfers."""
        return self._by_id(Subject.TRANSFERS, self._books.transfers_by_id, after)

    def payments(self, after: Key | None) -> Iterator[ScanPage[PaymentFacts]]:
        """The changed payments."""
        return self._by_id(Subject.PAYMENTS, self._books.payments_by_id, after)

    def settlement_lines(self, after: Key | None) -> Iterator[ScanPage[LineFacts]]:
        """All lines of the changed settlements."""
        partitions = sorted(
            partition
            for partition in self._books.line_partitions(list(self._ids(Subject.SETTLEMENTS)))
        )
        for partition in partitions:
            line = None
            if after is not None:
                if partition < str(after["settlement_bucket"]):
                    continue
                if partition == after["settlement_bucket"]:
                    line = int(after["line"])
            rows = self._books.lines_in_partition(partition, line)
            while page := list(islice(rows, MAX_TRANSACTION_ITEMS)):
                yield _page(page)

    def is_suspect(self, subject: Subject, identifier: str) -> bool:
        """Whether the row was changed from outside or late, or its holds must be compared."""
        return self._ids(subject).get(identifier, False)

    def suspects(self, subject: Subject) -> list[str]:
        """All suspect ids, sorted."""
        return sorted(each for each, suspect in self._ids(subject).items() if suspect)

    def _by_id(
        self,
        subject: Subject,
        read: Callable[[Sequence[str]], Mapping[str, View]],
        after: Key | None,
    ) -> Iterator[ScanPage[View]]:
        ids = self._after(subject, None if after is None else str(after["id"]))
        for batch in _batches(ids, MAX_TRANSACTION_ITEMS):
            found = read(batch)
            yield _page([found[each] for each in batch if each in found])

    def _after(self, subject: Subject, last: str | None, *, inclusive: bool = False) -> list[str]:
        ids = self._ids(subject)
        return sorted(
            each for each in ids if last is None or each > last or (inclusive and each == last)
        )

    def _ids(self, subject: Subject) -> Mapping[str, bool]:
        if self._noted is None:
            self._noted = self._read()
        return self._noted[subject]


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _page(rows: list[View]) -> ScanPage[View]:
    return ScanPage(rows, None)
