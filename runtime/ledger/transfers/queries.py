"""Reads of transfers and lists of transfers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.caller import require_found
from runtime.http.pagination import Slice, take_page
from runtime.http.request_context import Call
from runtime.ledger.accounts.queries import AccountReads, entries_of, owner_of_list, position_of
from runtime.ledger.entries.models import Entry
from runtime.ledger.rules import CHANGE_PREFIX, TRANSFER_PREFIX, is_hold_end
from runtime.ledger.transfers.api import TransferAnswer, TransferList, TransferQuery
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import TransferEntry, TransferRepository
from runtime.ledger.transfers.transfer_builder import transfer_answer
from runtime.merchants.profiles import MerchantProfiles

FILTERED_PAGE = 100
_IN_STATUS_INDEX = (TransferStatus.PENDING, TransferStatus.FAILED)


@dataclass(frozen=True)
class TransferReads:
    """Dependencies of reading transfers."""

    transfers: TransferRepository
    accounts: AccountReads


def get_transfer(transfer_id: str, call: Call, reads: TransferReads) -> TransferAnswer:
    """A transfer, strongly consistent. Raises NotFound."""
    row = reads.transfers.get(transfer_id, call.scope)
    return transfer_answer(require_found(row, "transfer", transfer_id))


def list_transfers(query: TransferQuery, call: Call, reads: TransferReads) -> TransferList:
    """A page of transfers by account, by customer, or by owner. Raises NotFound, BadCursor."""
    owner = owner_of_list(query.customer_id, call, reads.accounts.customers)
    cursor = reads.accounts.cursors.of(query, "transfers", owner)
    position = cursor.position
    if query.account_id is not None:
        page = _of_account(query.account_id, query, call, position, reads)
    else:
        page = _of_index(query, owner, position, reads)
    rows = reads.transfers.get_many(page.entries, call.caller.scope(None))
    answers = (transfer_answer(row) for row in rows if is_current(row, query))
    return TransferList.from_items(answers, cursor.after(page.next_position))


def is_current(row: Transfer, query: TransferQuery) -> bool:
    """Whether the row still matches the query. The index is eventually consistent."""
    return query.status in (None, row.status) and query.customer_id in (None, row.customer_id)


def _of_account(
    account_id: str,
    query: TransferQuery,
    call: Call,
    position: str | None,
    reads: TransferReads,
) -> Slice[str]:
    """Transfers found by the account's entries. A hold is listed once, at its start."""
    row = reads.accounts.accounts.get(account_id, call.scope)
    account = require_found(row, "account", account_id)
    page = take_page(
        entries_of(account, position, reads.accounts),
        limit=query.limit,
        position=lambda entry: position_of(account, entry),
        matches=lambda entry: is_listing_entry(entry, reads.transfers),
    )
    ids = tuple(entry.transfer_id for entry in page.entries if entry.transfer_id is not None)
    return Slice(ids, page.next_position)


def is_listing_entry(entry: Entry, transfers: TransferRepository) -> bool:
    """Whether a transfer is listed by this entry: each transfer is listed once per account.

    Entries for a profile stored because of the transfer do not count. The end of a hold counts only
    if the account has no entry for its start: a hot account and a hold without `held_in_counted`.
    """
    if entry.transfer_id is None or not entry.transfer_id.startswith(TRANSFER_PREFIX):
        return False
    if entry.operation_id.startswith(CHANGE_PREFIX):
        return False
    if not is_hold_end(entry.operation_id):
        return True
    if entry.fold_version is None:
        return False
    hold = transfers.get(entry.transfer_id, UNRESTRICTED)
    return hold is not None and not hold.held_in_counted


def _of_index(
    query: TransferQuery, owner: str, position: str | None, reads: TransferReads
) -> Slice[str]:
    index, buckets = index_for(query, owner, reads.accounts.merchants)
    page = take_page(
        reads.transfers.newest_first(
            buckets,
            index,
            after_id=position,
            page_size=query.limit + 1 if query.status is None else FILTERED_PAGE,
        ),
        limit=query.limit,
        position=lambda entry: entry.id,
        matches=matching(query),
    )
    return Slice(tuple(entry.id for entry in page.entries), page.next_position)


def matching(query: TransferQuery) -> Callable[[TransferEntry], bool]:
    """A filter for entries of a list index that match the query."""
    return lambda entry: entry.status is None or query.status in (None, entry.status)


def index_for(
    query: TransferQuery, owner: str, merchants: MerchantProfiles
) -> tuple[str, tuple[str, ...]]:
    """The list index for a query, and the index shards to merge."""
    if query.customer_id is not None:
        return "customer-index", (query.customer_id,)
    buckets = merchants.index_buckets(owner)
    if query.status in _IN_STATUS_INDEX:
        return "status-index", all_buckets(f"{owner}#{query.status}", buckets)
    return "merchant-index", all_buckets(owner, buckets)
