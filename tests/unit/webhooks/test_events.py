"""Which changes are events, and their ids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.alerts.models import Alert
from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.customers.models import CustomerState
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.merchants.models import MerchantProfile
from runtime.merchants.webhook_endpoints import first_endpoint_id
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import Settlement
from runtime.reporting.exports.models import Export
from runtime.webhooks.api import WebhookBody
from runtime.webhooks.events import Event, events_of
from runtime.webhooks.projection import shown

AT = "2026-03-14T09:00:00.123Z"
SOON, LATER = "2026-03-14T09:30:00.000Z", "2026-03-14T10:00:00.000Z"
STAMP: dict[str, Any] = {
    "created_at": AT,
    "updated_at": AT,
    "merchant_id": "mer_1",
    "changed_by": "test",
    "request_id": "req",
    "cause": "cause",
}
MAKERS: dict[str, tuple[type[Row], dict[str, Any]]] = {
    "payments": (
        Payment,
        {
            "id": "pay_1",
            "status": "processing",
            "amount": 1000,
            "currency": "USD",
            "payment_method": "tok_approved",
            "processor": "sandbox",
        },
    ),
    "transactions": (
        Transaction,
        {
            "id": "txn_1",
            "payment_id": "pay_1",
            "type": "refund",
            "amount": 10,
            "currency": "USD",
            "status": "pending",
        },
    ),
    "transfers": (
        Transfer,
        {
            "id": "trf_1",
            "operation_id": "trf_1",
            "legs": (Leg(from_account_id="acc_a", to_account_id="acc_b", amount=5),),
            "amount": 5,
            "currency": "USD",
            "status": "pending",
        },
    ),
    "settlements": (
        Settlement,
        {
            "id": "set_1",
            "date": "2026-03-14",
            "status": "processing",
            "source": "file",
            "sha256": "0" * 64,
        },
    ),
    "exports": (
        Export,
        {
            "id": "exp_1",
            "kind": "payments",
            "format": "csv",
            "until": AT,
            "expires_at": 1,
            "status": "running",
        },
    ),
    "accounts": (Account, {"id": "acc_1", "account_type": "wallet", "currency": "USD"}),
    "customers": (CustomerState, {"id": "cus_1", "merchant_bucket": "mer_1#000"}),
}


def made(table: str, **changes: Any) -> Row:
    model, values = MAKERS[table]
    return model(**{**STAMP, **values, **changes})


def event_of(old: Row | None, new: Row | None) -> Event | None:
    """The only event of a change; None if it has none."""
    found = events_of(old, new)
    assert len(found) <= 1
    return found[0] if found else None


def step(table: str, before: dict[str, Any], after: dict[str, Any]) -> Any:
    """The event of one version's step."""
    return event_of(made(table, version=4, **before), made(table, version=5, **after))


def alert(kind: str, entity_id: str = "pay_1") -> Alert:
    return Alert(
        id="alt_1",
        merchant_bucket="mer_1#000",
        everybody_bucket="all#000",
        listed_at=f"{AT}#alt_1",
        created_at=AT,
        merchant_id="mer_1",
        type=kind,  # type: ignore[arg-type]
        entity_id=entity_id,
        detail={"amount": 1_000_000},
    )


@pytest.mark.parametrize(
    ("table", "before", "after", "expected"),
    [
        ("payments", "processing", "succeeded", "payment.succeeded"),
        ("payments", "processing", "requires_capture", "payment.requires_capture"),
        ("payments", "processing", "failed", "payment.failed"),
        ("payments", "processing", "unknown", "payment.unknown"),
        ("payments", "unknown", "succeeded", "payment.succeeded"),
        ("payments", "requires_capture", "canceled", "payment.canceled"),
        ("payments", "pending", "processing", None),
        ("payments", "succeeded", "succeeded", None),
        ("transactions", "pending", "succeeded", "refund.succeeded"),
        ("transactions", "pending", "failed", "refund.failed"),
        ("transactions", "succeeded", "settled", None),
        ("transfers", "pending", "processed", "transfer.processed"),
        ("transfers", "pending", "canceled", "transfer.canceled"),
        ("transfers", "pending", "expired", "transfer.canceled"),
        ("settlements", "processing", "completed", "settlement.completed"),
        ("settlements", "processing", "completed_with_exceptions", "settlement.exceptions"),
        ("settlements", "processing", "rejected", "settlement.exceptions"),
        ("settlements", "processing", "processing", None),
        ("settlements", "completed_with_exceptions", "completed", "settlement.completed"),
        ("settlements", "completed", "completed_with_exceptions", "settlement.exceptions"),
        ("exports", "running", "completed", "export.completed"),
        ("exports", "running", "failed", None),
    ],
)
def test_a_change_of_status_is_an_event(
    table: str, before: str, after: str, expected: str | None
) -> None:
    event = step(table, {"status": before}, {"status": after})
    assert (event and event.type) == expected
    if event is not None:
        assert (event.sequence, event.merchant_id, event.at) == (5, "mer_1", AT)


@pytest.mark.parametrize(
    ("table", "status", "expected"),
    [
        ("payments", "failed", "payment.failed"),
        ("payments", "processing", None),
        ("transfers", "processed", "transfer.processed"),
        ("transfers", "failed", "transfer.failed"),
        ("transfers", "pending", None),
        ("transactions", "succeeded", "refund.succeeded"),
        ("settlements", "rejected", "settlement.exceptions"),
    ],
)
def test_a_row_created_with_its_outcome_is_an_event(
    table: str, status: str, expected: str | None
) -> None:
    event = event_of(None, made(table, status=status))
    assert (event and event.type) == expected


@pytest.mark.parametrize("kind", ["capture", "authorization", "void"])
def test_only_refunds_are_events_among_transactions(kind: str) -> None:
    assert step("transactions", {"type": kind}, {"type": kind, "status": "succeeded"}) is None


@pytest.mark.parametrize("booking", [{"payment_id": "pay_1"}, {"settlement_id": "set_1"}])
def test_bookings_are_events_of_their_kind(booking: dict[str, str]) -> None:
    assert event_of(None, made("transfers", status="processed", **booking)) is None


@pytest.mark.parametrize("table", ["accounts", "customers"])
@pytest.mark.parametrize(
    ("before", "after", "reported"),
    [
        (None, SOON, True),
        (SOON, LATER, True),
        (SOON, SOON, False),
        (LATER, SOON, False),
        (SOON, None, False),
        (None, None, False),
    ],
)
def test_a_lock_is_an_event_when_it_begins_or_is_extended(
    table: str, before: str | None, after: str | None, reported: bool
) -> None:
    event = step(table, {"locked_until": before}, {"locked_until": after})
    assert (event is not None) == reported
    if event is not None:
        assert event.type == "account.locked"


def test_balance_shards_have_no_lock_events() -> None:
    assert step("accounts", {"shard": "01"}, {"shard": "01", "locked_until": SOON}) is None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("large_transaction", "alert.large_transaction"),
        ("suspicious_velocity", "alert.suspicious_velocity"),
        ("lock_out", None),
        ("out_of_band", None),
    ],
)
def test_alerts_about_customers_are_one_event(kind: str, expected: str | None) -> None:
    event = event_of(None, alert(kind))
    assert (event and event.type) == expected
    assert event is None or (event.sequence, event.payment_id) == (1, "pay_1")
    assert event_of(alert(kind), alert(kind)) is None


@pytest.mark.parametrize("version", [4, 3, 6])
def test_an_out_of_band_change_is_not_an_event(version: int) -> None:
    before = made("payments", version=4)
    assert event_of(before, made("payments", version=version, status="succeeded")) is None
    assert event_of(before, None) is None


def test_the_platforms_own_rows_are_not_events() -> None:
    assert event_of(None, made("transfers", status="processed", merchant_id="platform")) is None


def test_changes_of_merchants_are_not_events() -> None:
    profile = MerchantProfile(
        **{**STAMP, "id": "mer_1", "email": "a@b.example", "name": "Shop", "processor": "sandbox"}
    )
    assert event_of(None, profile) is None


FIRST = first_endpoint_id("mer_1")


def test_an_id_contains_its_time_and_is_the_same_for_the_same_change() -> None:
    one = step("payments", {}, {"status": "succeeded"})
    again = step("payments", {}, {"status": "succeeded"})
    other = step("payments", {}, {"status": "failed"})
    assert one.delivery_id(FIRST) == again.delivery_id(FIRST)
    assert one.delivery_id(FIRST).startswith("whk_")
    assert to_timestamp(created_at(one.delivery_id(FIRST))) == AT
    ids = {one.delivery_id(FIRST), other.delivery_id(FIRST)}
    second = step("payments", {"id": "pay_2"}, {"id": "pay_2", "status": "succeeded"})
    ids |= {second.delivery_id(FIRST), second.delivery_id("whe_2")}
    ids.add(step("transactions", {}, {"status": "succeeded", "id": "pay_1"}).delivery_id(FIRST))
    assert len(ids) == 5


def test_the_payload_is_the_resource_as_the_api_shows_it() -> None:
    payment = made("payments", status="succeeded", capturable_minor=7, lease_owner="secret-lease")
    body = WebhookBody(
        id="whk_1", type="payment.succeeded", created=AT, sequence=2, data=shown(payment)
    )
    document = json.loads(body.model_dump_json())
    assert list(document) == ["id", "type", "created", "sequence", "data"]
    assert document["data"]["amount_capturable"] == 7
    assert "lease" not in body.model_dump_json()
    assert "transactions" not in document["data"]
    for table in MAKERS:
        assert json.loads(shown(made(table)).model_dump_json())["id"] == made(table).id  # type: ignore[attr-defined]
    assert json.loads(shown(alert("large_transaction")).model_dump_json())["detail"] == {
        "amount": 1_000_000
    }
