"""Every list accepts its own cursors, even the longest that the limits of its keys allow."""

from __future__ import annotations

import json
import re
from typing import Final

import pytest

from runtime.api.endpoints import ENDPOINTS
from runtime.api.openapi import openapi_document
from runtime.audit.repository import AuditEntry
from runtime.core.errors import BadCursor
from runtime.http.cursors import MAX_CURSOR_CHARACTERS, seal, unseal
from runtime.http.pagination import UNORDERED_CHUNK
from runtime.http.shapes import MAX_IDEMPOTENCY_KEY, PageQuery
from runtime.idempotency.repository import ClaimEntry
from runtime.idempotency.rules import claim_key, event_key, item_key
from runtime.ledger.accounts.models import row_id
from runtime.reconciliation.exceptions.api import MAX_BULK, MAX_LINE
from runtime.reconciliation.settlements.line_keys import exception_key
from runtime.reconciliation.settlements.lines_repository import ExceptionEntry
from runtime.reconciliation.settlements.models import LineStatus

KEY: Final = bytes(32)
FORMER_LIMIT: Final = 512
"""Characters that a cursor could have when the list of Idempotency-Keys refused its own."""
ID: Final = "x" * 64
"""An identifier with as many characters as one may have."""
EVENT_ID: Final = "e" * 255
"""The longest id of a processor's notification: Stripe's ids have at most 255 characters."""
STREAM_NUMBER: Final = "9" * 40
"""The longest sequence number of a stream record, as DynamoDB documents it."""
MOMENT: Final = "2026-03-14T09:00:00.000Z"
DAY: Final = MOMENT.partition("T")[0]
VERSION: Final = "9" * 12
"""The sort key of an entry, and the beginning of an audit row's."""


def longest_claims() -> list[str]:
    """The longest record keys of requests, of one of a request's items, and of a notification."""
    requests = [
        claim_key(ID, each.method, re.sub(r"{\w+}", ID, each.path), "k" * MAX_IDEMPOTENCY_KEY)
        for each in ENDPOINTS
        if each.idempotent != "no"
    ]
    items = [item_key(key, MAX_BULK) for key in requests]
    return [*requests, *items, event_key(ID, "sandbox", EVENT_ID)]


def of_exception(status: LineStatus) -> str:
    key = exception_key(status, DAY, ID, MAX_LINE)
    return ExceptionEntry(settlement_bucket=ID, line=MAX_LINE, exception_key=key).order


def of_audit() -> str:
    entity, sequence = row_id(ID, "d07"), f"{VERSION}#{STREAM_NUMBER}"
    return AuditEntry(timestamp=MOMENT, entity_id=entity, sequence=sequence).place


UNORDERED: Final = json.dumps([[UNORDERED_CHUNK, ID], ID])
"""A position in an index without an order: where the chunk begins, and the last id of the page."""
POSITIONS: Final[dict[str, list[str]]] = {
    "listMerchants": [ID, UNORDERED],
    "listApiKeys": [json.dumps([MOMENT, ID])],
    "findCustomers": [ID],
    "listAccounts": [ID, UNORDERED],
    "listEntries": [VERSION, ID],
    "listTransfers": [VERSION, ID],
    "listPayments": [ID, UNORDERED],
    "listTransactions": [ID],
    "listIdempotencyKeys": [
        ClaimEntry(key=key, created_at=MOMENT).place for key in longest_claims()
    ],
    "listProcessorEvents": [ID],
    "listSettlementFiles": [ID],
    "listSettlements": [json.dumps([DAY, ID])],
    "listSettlementLines": [str(MAX_LINE)],
    "listExceptions": [f"{DAY}#{ID}", *map(of_exception, LineStatus)],
    "listExports": [ID],
    "listAlerts": [f"{MOMENT}#{ID}"],
    "listWebhooks": [ID],
    "listWebhookEndpoints": [ID],
    "listAudit": [of_audit(), f"{VERSION}#{STREAM_NUMBER}"],
}
"""The longest positions of each list, by its operation."""

LISTS: Final = [
    each for each in ENDPOINTS if each.query is not None and issubclass(each.query, PageQuery)
]


def test_the_positions_of_every_list_are_known() -> None:
    assert sorted(POSITIONS) == sorted(each.operation for each in LISTS)


@pytest.mark.parametrize("operation", sorted(POSITIONS))
def test_a_list_accepts_its_longest_cursor(operation: str) -> None:
    for position in POSITIONS[operation]:
        assert unseal(KEY, "binding", seal(KEY, "binding", position)) == position


def test_an_idempotency_key_may_need_a_cursor_beyond_the_former_limit() -> None:
    longest = max(POSITIONS["listIdempotencyKeys"], key=len)
    assert FORMER_LIMIT < len(seal(KEY, "binding", longest)) <= MAX_CURSOR_CHARACTERS


def test_a_cursor_beyond_the_limit_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(BadCursor):
        unseal(KEY, "binding", seal(KEY, "binding", "x" * MAX_CURSOR_CHARACTERS))


def test_the_document_has_the_limit_of_cursors() -> None:
    paths = openapi_document()["paths"]
    for each in LISTS:
        parameters = paths[each.path][each.method.lower()]["parameters"]
        (cursor,) = (found for found in parameters if found.get("name") == "cursor")
        assert cursor["schema"]["maxLength"] == MAX_CURSOR_CHARACTERS, each.operation
