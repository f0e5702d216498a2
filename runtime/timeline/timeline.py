"""The whole story of one payment, from the rows that record it, without a scan.

Every read is by a key: transactions by the ids in the payment, postings and webhooks by ids derived
from it, audit rows and settlement lines by the resource that they are about. A payment with one
capture costs about ten reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from runtime.audit.models import AuditRow
from runtime.audit.repository import AuditRepository
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.http.caller import require_found
from runtime.http.pagination import read_in_batches
from runtime.http.request_context import Call
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.repository import MerchantRepository
from runtime.payments.models import Payment
from runtime.payments.repository import PaymentRepository
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.transactions.repository import LineView, TransactionLists
from runtime.timeline.api import TimelineAnswer
from runtime.timeline.events import (
    in_order,
    of_audit_row,
    of_line,
    of_payment,
    of_posting,
    of_transaction,
    of_webhook,
    posting_ids_of,
    status_changes,
)
from runtime.webhooks.events import delivery_ids
from runtime.webhooks.models import WebhookState
from runtime.webhooks.repository import WebhookRepository

MAX_CHAINS: Final = 20
"""Transactions, the newest ones, whose audit rows and settlement lines are read."""
MAX_ROWS: Final = 50
"""Audit rows, the newest ones, of the payment and of each of these transactions."""
PARALLEL_READS: Final = 8


@dataclass(frozen=True)
class TimelineReads:
    """Dependencies of timelines."""

    payments: PaymentRepository
    transfers: TransferRepository
    lines: TransactionLists
    audit: AuditRepository
    merchants: MerchantRepository
    webhooks: WebhookRepository
    outside: Outside


def get_timeline(payment_id: str, call: Call, reads: TimelineReads) -> TimelineAnswer:
    """Everything recorded about a payment, oldest first. Raises NotFound.

    The payment, its transactions and postings are strongly consistent. Audit rows and webhooks
    follow within seconds; a webhook is found once the audit row of its event is there, while its
    endpoint exists.
    """
    payment = require_found(reads.payments.get(payment_id, call.scope), "payment", payment_id)
    owner = Scope(payment.merchant_id)
    transactions = reads.payments.transactions_of(payment)
    newest = transactions[-MAX_CHAINS:]
    entities = [payment.id, *(each.id for each in newest)]
    with reads.outside.threads(PARALLEL_READS) as pool:
        chains = list(pool.map(lambda entity: _rows(entity, owner, reads), entities))
        lines = list(pool.map(lambda each: reads.lines.lines_of(each.id, owner), newest))
    rows = [row for found in chains for row in found[:MAX_ROWS]]
    is_cut = len(newest) < len(transactions) or any(len(found) > MAX_ROWS for found in chains)
    postings = read_in_batches(
        posting_ids_of(payment, transactions),
        lambda ids: reads.transfers.get_many(ids, owner),
        size=MAX_TRANSACTION_ITEMS,
    )
    events = chain(
        of_payment(payment),
        chain.from_iterable(map(of_transaction, transactions)),
        map(of_posting, postings),
        map(of_audit_row, rows),
        map(of_webhook, _deliveries(rows, payment, transactions, reads)),
        map(of_line, _distinct(lines)),
    )
    return TimelineAnswer(payment_id=payment.id, events=in_order(events), complete=not is_cut)


def _rows(entity_id: str, owner: Scope, reads: TimelineReads) -> list[AuditRow]:
    """The newest rows of an entity, and one more than are shown if there are more."""
    found = reads.audit.newest_first(entity_id, before=None, page_size=MAX_ROWS + 1)
    return [row for row in islice(found, MAX_ROWS + 1) if owner.admits(row.merchant_id)]


def _deliveries(
    rows: Sequence[AuditRow],
    payment: Payment,
    transactions: Sequence[Transaction],
    reads: TimelineReads,
) -> Iterator[WebhookState]:
    """Deliveries of the recorded changes, to the endpoints that the merchant has."""
    directory = reads.merchants.endpoint_directory(payment.merchant_id)
    if directory is None:
        return iter(())
    endpoints = [entry.id for entry in directory.entries]
    ids = [
        each
        for change in status_changes(rows, payment, transactions)
        for each in delivery_ids(change, payment.merchant_id, endpoints)
    ]
    return read_in_batches(
        dict.fromkeys(ids),
        lambda some: reads.webhooks.states(some, Scope(payment.merchant_id)),
        size=MAX_TRANSACTION_ITEMS,
    )


def _distinct(lines: Sequence[Sequence[LineView]]) -> list[LineView]:
    """Each line once."""
    return list({(line.settlement_id, line.line): line for some in lines for line in some}.values())
