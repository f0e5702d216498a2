"""Reads of accounts, lists of accounts, and statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from runtime.core.echo import echoed
from runtime.core.errors import InvalidValue, NotFound
from runtime.core.scope import Scope
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.index_shards import all_buckets
from runtime.http.caller import require_found
from runtime.http.pagination import UNORDERED_CHUNK, Cursors, Slice, newest_of_chunk, take_page
from runtime.http.request_context import Call
from runtime.ledger.accounts.accounts import whole_account
from runtime.ledger.accounts.api import (
    AccountAnswer,
    AccountList,
    AccountQuery,
    EntryAnswer,
    EntryList,
    EntryQuery,
)
from runtime.ledger.accounts.models import Account, AccountStatus, AccountType, Posting
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.entries.models import Entry
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.rules import is_consolidation, is_receivable, operation_time
from runtime.merchants.profiles import MerchantProfiles

STATEMENT_PAGE = 100


class StatementReads(Protocol):
    """Dependencies of reading a statement."""

    @property
    def shard_rows(self) -> ShardRepository:
        """The rows of hot accounts."""
        ...

    @property
    def entries(self) -> EntryRepository:
        """The entries."""
        ...


@dataclass(frozen=True)
class AccountReads:
    """Dependencies of reading accounts."""

    accounts: AccountRepository
    shard_rows: ShardRepository
    entries: EntryRepository
    customers: CustomerRepository
    merchants: MerchantProfiles
    cursors: Cursors


def get_account(account_id: str, call: Call, reads: AccountReads) -> AccountAnswer:
    """An account, strongly consistent; a hot account's rows are summed. Raises NotFound."""
    row = require_found(reads.accounts.get(account_id, call.scope), "account", account_id)
    return _current(row, reads)


def list_accounts(query: AccountQuery, call: Call, reads: AccountReads) -> AccountList:
    """A page of accounts by number, by customer, or by status and type.

    An operator without a merchant searches for a number across all merchants. Raises BadCursor,
    NotFound, InvalidValue.
    """
    owner = owner_of_list(query.customer_id, call, reads.customers)
    scope = Scope(owner)
    if query.account_number is not None and query.customer_id is None:
        scope = call.scope
    cursor = reads.cursors.of(query, "accounts", owner)
    position = cursor.position
    if query.account_number is not None:
        page = _of_number(query.account_number, query, scope, position, reads)
    elif query.customer_id is not None:
        page = _of_customer(query.customer_id, query, position, reads)
    elif query.status is not None and query.account_type is not None:
        page = _of_status(query, query.status, query.account_type, owner, position, reads)
    else:
        raise InvalidValue(
            "Filter by account_number, by customer_id, or by status and account_type",
            param="customer_id",
        )
    rows = reads.accounts.get_many(page.entries, scope)
    answers = (_current(row, reads) for row in rows if _matches(row, query))
    return AccountList.from_items(answers, cursor.after(page.next_position))


def list_entries(account_id: str, query: EntryQuery, call: Call, reads: AccountReads) -> EntryList:
    """A page of an account's statement, newest first. Raises NotFound, BadCursor."""
    row = require_found(reads.accounts.get(account_id, call.scope), "account", account_id)
    cursor = reads.cursors.of(query, "entries", account_id)
    page = take_page(
        entries_of(row, cursor.position, reads, page_size=min(query.limit + 1, STATEMENT_PAGE)),
        limit=query.limit,
        position=lambda entry: position_of(row, entry),
        matches=lambda entry: is_statement_line(row, entry),
    )
    answers = map(EntryAnswer.of, page.entries)
    return EntryList.from_items(answers, cursor.after(page.next_position))


def owner_of_list(customer_id: str | None, call: Call, customers: CustomerRepository) -> str:
    """Owner of the listed rows: the caller, or for an operator the customer's merchant.

    Raises NotFound for a customer that is not the caller's.
    """
    owner = call.caller.owner(call.acting_for)
    if customer_id is None:
        return owner
    customer = customers.owner(customer_id, call.scope)
    if customer is None:
        raise NotFound(f"No such customer: {echoed(customer_id)}", param="customer_id")
    return customer.merchant_id


def entries_of(
    row: Account, position: str | None, reads: StatementReads, *, page_size: int = STATEMENT_PAGE
) -> Iterator[Entry]:
    """Everything that changed the account, newest first, older than `position`."""
    if row.posting is not Posting.FOLDED:
        return reads.entries.of_row(row.id, before_sequence=position, page_size=STATEMENT_PAGE)
    # A shard exists before its first entry, and most accounts have few debit shards.
    rows = reads.shard_rows.debit_shards_of(row.id) if is_receivable(row.id) else []
    debited = [each.shard for each in rows]
    return reads.entries.of_hot_account(
        row.id, debited, before_operation=position, page_size=page_size
    )


def position_of(row: Account, entry: Entry) -> str:
    """Position in the account's entries from which the next page continues after `entry`."""
    folded = row.posting is Posting.FOLDED
    return operation_time(entry.operation_id) if folded else entry.sequence


def is_statement_line(row: Account, entry: Entry) -> bool:
    """Whether a statement includes the entry. Consolidations and zero amounts are excluded."""
    folded = row.posting is Posting.FOLDED
    return entry.amount != 0 and not is_consolidation(entry.operation_id, folded=folded)


def _current(row: Account, reads: AccountReads) -> AccountAnswer:
    return whole_account(row, reads.shard_rows)


def _matches(row: Account, query: AccountQuery) -> bool:
    return (
        query.status in (None, row.status)
        and query.account_type in (None, row.account_type)
        and query.customer_id in (None, row.customer_id)
    )


def _of_customer(
    customer_id: str, query: AccountQuery, position: str | None, reads: AccountReads
) -> Slice[str]:
    entries = reads.accounts.of_customer(customer_id, after_id=position, page_size=query.limit + 1)
    page = take_page(entries, limit=query.limit, position=lambda entry: entry.id)
    return Slice(tuple(entry.id for entry in page.entries), page.next_position)


def _of_status(
    query: AccountQuery,
    status: AccountStatus,
    account_type: AccountType,
    owner: str,
    position: str | None,
    reads: AccountReads,
) -> Slice[str]:
    buckets = all_buckets(f"{owner}#{status}", reads.merchants.index_buckets(owner))
    return newest_of_chunk(
        buckets,
        lambda bucket, start: reads.accounts.of_status(
            bucket, account_type, start, UNORDERED_CHUNK
        ),
        limit=query.limit,
        position=position,
    )


def _of_number(
    number: str, query: AccountQuery, scope: Scope, position: str | None, reads: AccountReads
) -> Slice[str]:
    """Accounts with this number: at most one per owner, or those of all owners for an operator."""
    if scope.owner is not None:
        account_id = reads.accounts.of_owners_number(scope.owner, number)
        return Slice(() if account_id is None else (account_id,), None)

    return newest_of_chunk(
        (number,),
        lambda number, start: reads.accounts.of_number(number, start, UNORDERED_CHUNK),
        limit=query.limit,
        position=position,
    )
