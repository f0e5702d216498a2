"""Exported transfers."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.core.ids import highest_id
from runtime.http.caller import require_found
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.queries import entries_of
from runtime.ledger.transfers.api import TransferQuery
from runtime.ledger.transfers.queries import (
    index_for,
    is_current,
    is_listing_entry,
    matching,
)
from runtime.ledger.transfers.transfer_builder import transfer_answer
from runtime.reporting.exports.sources.chunks import (
    Chunk,
    RowWriter,
    Selection,
    by_hundreds,
    selections,
)
from runtime.reporting.exports.sources.reads import ExportReads, Whose, page_size_of
from runtime.reporting.exports.sources.statements import whole_operations


class TransferSource:
    """Transfers, newest first: of an account by its entries, of others by their list index."""

    def __init__(
        self, query: TransferQuery, whose: Whose, reads: ExportReads, writer: RowWriter
    ) -> None:
        self._query, self._whose, self._reads, self._writer = query, whose, reads, writer
        self.header = writer.header

    def chunks(self, position: str | None) -> Iterator[Chunk]:
        """As Source."""
        query = self._query
        selected = self._of_index(position)
        if query.account_id is not None:
            account = self._reads.accounts.get(query.account_id, self._whose.scope)
            selected = self._of_account(
                require_found(account, "account", query.account_id), position
            )
        for selection in selected:
            shown = [
                transfer_answer(row)
                for some in by_hundreds(selection.entries)
                for row in self._reads.transfers.get_many(some, self._whose.scope)
                if is_current(row, query) and row.created_at <= self._whose.until
            ]
            yield self._writer.chunk(shown, selection.position)

    def _of_index(self, position: str | None) -> Iterator[Selection]:
        index, buckets = index_for(self._query, self._whose.owner, self._reads.merchants)
        entries = self._reads.transfers.newest_first(
            buckets,
            index,
            # The time in an id is never later than the transfer.
            after_id=position or highest_id("trf", self._whose.moment),
            page_size=page_size_of(len(buckets)),
        )
        matches = matching(self._query)
        for each in selections(entries, position=lambda entry: entry.id, matches=matches):
            yield Selection(tuple(entry.id for entry in each.entries), each.position)

    def _of_account(self, account: Account, position: str | None) -> Iterator[Selection]:
        transfers = self._reads.transfers
        entries = entries_of(account, position, self._reads)
        for each in selections(
            whole_operations(account, entries),
            position=lambda together: together.position,
        ):
            ids = (
                entry.transfer_id
                for together in each.entries
                for entry in together.entries
                if entry.transfer_id is not None and is_listing_entry(entry, transfers)
            )
            yield Selection(tuple(dict.fromkeys(ids)), each.position)
