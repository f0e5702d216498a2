"""The rows of a request or payment: its audit rows, and the webhooks of its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from runtime.audit.models import AuditRow
from runtime.audit.repository import AuditRepository
from runtime.core.request_ids import is_request_id
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_datetime
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.repository import MerchantRepository
from runtime.payments.posting_ids import posting_id
from runtime.webhooks.events import (
    delivery_id,
    new_dispute_statuses,
    recorded_dispute_statuses,
)
from runtime.webhooks.models import EventType, WebhookState
from runtime.webhooks.repository import WebhookRepository

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PATIENT_SECONDS: Final = 30.0
"""How long one call may be retried while the tables are busy."""
MOST_CHAINS: Final = 101
"""A payment has at most 100 transactions; its own chain is one more."""
MOST_ROWS: Final = 1_000
"""Audit rows of one entity that a story reads."""
_TABLES: Final = ("audit_log", "merchants", "webhooks")
_EVENTS: Final[Mapping[str, tuple[EventType, ...]]] = {
    "payment": tuple(each for each in EventType if each.startswith("payment.")),
    "transaction": (EventType.REFUND_SUCCEEDED, EventType.REFUND_FAILED),
    "transfer": tuple(each for each in EventType if each.startswith("transfer.")),
    "account": (EventType.ACCOUNT_LOCKED,),
    "customer": (EventType.ACCOUNT_LOCKED,),
}
"""Events that a change of each type of entity may be."""


class StoredRows:
    """Reads the audit log and the webhooks of a stage; their encrypted payloads are not read."""

    def __init__(self, client: DynamoDBClient, tables: Mapping[str, str]) -> None:
        mine = {name: tables[name] for name in _TABLES}
        store = Store(client, mine, Codec(NoCipher()), lambda: PATIENT_SECONDS, real_outside())
        self._audit, self._webhooks = AuditRepository(store), WebhookRepository(store)
        self._merchants = MerchantRepository(store)

    def audit_rows(self, identifier: str) -> list[AuditRow]:
        """The audit rows of a request, or of a payment with its transactions and postings."""
        if is_request_id(identifier):
            return self._audit.of_request(identifier)
        chain = self._chain(identifier)
        rows = {(row.entity_id, row.sequence): row for row in chain}
        for entity in _related(chain):
            rows |= {(row.entity_id, row.sequence): row for row in self._chain(entity)}
        return list(rows.values())

    def webhooks(self, rows: Sequence[AuditRow]) -> list[WebhookState]:
        """The deliveries of the events that these rows may be, to the endpoints of today.

        Their ids follow from the rows and the endpoints.
        """
        others = {merchant: self._endpoints(merchant) for merchant in {r.merchant_id for r in rows}}
        ids = [each for row in rows for each in _delivery_ids(row, others[row.merchant_id])]
        distinct = list(dict.fromkeys(ids))
        return [
            webhook
            for start in range(0, len(distinct), MAX_TRANSACTION_ITEMS)
            for webhook in self._webhooks.states(
                distinct[start : start + MAX_TRANSACTION_ITEMS], UNRESTRICTED
            )
        ]

    def _endpoints(self, merchant_id: str) -> list[str]:
        """The merchant's endpoints beside the first one."""
        directory = self._merchants.endpoint_directory(merchant_id)
        return [] if directory is None else [each.id for each in directory.webhook_endpoints]

    def _chain(self, entity_id: str) -> list[AuditRow]:
        rows = self._audit.newest_first(entity_id, before=None, page_size=MOST_ROWS)
        return [row for row, _ in zip(rows, range(MOST_ROWS), strict=False)]


def _related(chain: Sequence[AuditRow]) -> list[str]:
    """The payment's transactions and their postings, as its rows name them."""
    named: dict[str, None] = {}
    for row in chain:
        for each in row.new_values.get("transaction_ids") or ():
            named[str(each)] = None
    transactions = list(named)[:MOST_CHAINS]
    return [*transactions, *(posting_id(each) for each in transactions)]


def _delivery_ids(row: AuditRow, endpoints: Sequence[str]) -> Iterator[str]:
    change = (f"{row.entity_type}s", row.entity_id, str(row.version))
    before, after = map(recorded_dispute_statuses, (row.old_values, row.new_values))
    events = [
        *((*change, kind) for kind in _EVENTS.get(row.entity_type, ())),
        *(
            (*change, f"dispute.{status}", dispute_id)
            for dispute_id, status in new_dispute_statuses(before, after)
        ),
    ]
    for event in events:
        for endpoint in (None, *endpoints):
            yield delivery_id(to_datetime(row.timestamp), event, endpoint)
