"""Exported entries: account by account, each in the order of its statement, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import entries_of, is_statement_line
from runtime.reporting.exports.api import ExportedEntry
from runtime.reporting.exports.sources.chunks import Chunk, RowWriter, selections
from runtime.reporting.exports.sources.reads import ExportReads, Whose
from runtime.reporting.exports.sources.statements import whole_operations


class EntrySource:
    """Entries of the accounts `account_ids`. A position is an account's number and a place."""

    def __init__(
        self, account_ids: Sequence[str], whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._ids, self._whose, self._reads, self._writer = account_ids, whose, reads, writer
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        number, place = json.loads(position) if position else (0, None)
        while number < len(self._ids):
            account = self._reads.accounts.get(self._ids[number], self._whose.scope)
            if account is not None:
                yield from self._of_account(account, number, place)
            number, place = number + 1, None
            yield Chunk(b"", 0, json.dumps([number, None]))

    def _of_account(self, account: Account, number: int, place: str | None) -> Iterator[Chunk]:
        statement = whole_operations(account, entries_of(account, place, self._reads))
        for each in selections(statement, position=lambda together: together.position):
            rows = [
                ExportedEntry.of(entry)
                for together in each.entries
                for entry in together.entries
                if is_statement_line(account, entry) and entry.created_at <= self._whose.until
            ]
            yield self._writer.chunk(rows, json.dumps([number, each.position]))
