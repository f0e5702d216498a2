"""Events of a timeline: their order, and the derived ids by which its parts are found."""

from __future__ import annotations

from typing import Any

import pytest

from operations.trace.rows import _delivery_ids as traced_ids
from runtime.audit.chain import GENESIS, version_key
from runtime.audit.models import AuditRow, EntityType
from runtime.payments.models import Dispute, DisputeStatus, Payment, PaymentStatus
from runtime.payments.posting_ids import posting_id, returned_refund_posting_id
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.reconciliation.settlements.models import LineStatus
from runtime.reconciliation.transactions.repository import LineView
from runtime.timeline.events import (
    in_order,
    of_line,
    of_payment,
    of_transaction,
    posting_ids_of,
    status_changes,
)
from runtime.webhooks.events import StatusChange, delivery_ids, events_of

PAYMENT = "pay_01KKNS5TNXPMRND6BTWW7BSYZG"
MERCHANT = "mer_01KKNS5TA1QJ7M3V5XE0Z9D8CH"
FIRST, OTHER = "whe_01KKNS5TA1QJ7M3V5XE0Z9D8CH", "whe_01KKNS5TB1QJ7M3V5XE0Z9D8CH"
AT = "2026-03-14T09:00:00.{:03d}Z"
STAMP: dict[str, Any] = {"changed_by": "user", "request_id": "req_1", "cause": "x"}


def a_payment(**more: Any) -> Payment:
    values = {
        "id": PAYMENT,
        "merchant_id": MERCHANT,
        "status": PaymentStatus.SUCCEEDED,
        "amount": 1000,
        "currency": "USD",
        "payment_method": "tok_approved",
        "processor": "sandbox",
        "created_at": AT.format(0),
        "updated_at": AT.format(5),
        **STAMP,
        **more,
    }
    return Payment(**values)


def a_transaction(name: str, kind: TransactionType, **more: Any) -> Transaction:
    values = {
        "id": f"txn_{name}",
        "merchant_id": MERCHANT,
        "payment_id": PAYMENT,
        "type": kind,
        "amount": 1000,
        "currency": "USD",
        "status": TransactionStatus.SUCCEEDED,
        "created_at": AT.format(1),
        "updated_at": AT.format(5),
        **STAMP,
        **more,
    }
    return Transaction(**values)


def recorded(row: Payment | Transaction) -> StatusChange:
    return StatusChange(row.id, row.version, row.status.value, row.updated_at)


@pytest.mark.parametrize("status", list(PaymentStatus))
def test_the_ids_of_a_payments_webhooks_follow_from_its_recorded_change(
    status: PaymentStatus,
) -> None:
    before = a_payment(status=PaymentStatus.PENDING, version=3)
    after = a_payment(status=status, version=4)
    found = delivery_ids(recorded(after), MERCHANT, [FIRST, OTHER])
    events = events_of(before, after)
    assert found == [event.delivery_id(each) for event in events for each in (FIRST, OTHER)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("status", list(TransactionStatus))
def test_the_ids_of_a_refunds_webhooks_follow_from_its_recorded_change(
    status: TransactionStatus,
) -> None:
    refund = TransactionType.REFUND
    before = a_transaction("a", refund, status=TransactionStatus.PENDING, version=1)
    after = a_transaction("a", refund, status=status, version=2)
    found = delivery_ids(recorded(after), MERCHANT, [FIRST])
    assert found == [event.delivery_id(FIRST) for event in events_of(before, after)]


def test_postings_are_those_of_captures_refunds_returned_refunds_and_disputes() -> None:
    capture = a_transaction("capture", TransactionType.CAPTURE)
    refund = a_transaction("refund", TransactionType.REFUND)
    authorization = a_transaction("authorization", TransactionType.AUTHORIZATION)
    dispute = Dispute(status=DisputeStatus.OPENED, amount=1000, transfer_ids=("trf_d1", "trf_d2"))
    assert posting_ids_of(
        a_payment(disputes={"dp_1": dispute}), [authorization, capture, refund]
    ) == [
        posting_id(capture.id),
        posting_id(refund.id),
        returned_refund_posting_id(refund.id),
        "trf_d1",
        "trf_d2",
    ]


def test_a_transaction_has_an_event_for_each_status_and_else_one() -> None:
    steps = tuple(
        AuditStep(status=status, at=AT.format(at), by="user")
        for at, status in ((1, TransactionStatus.PENDING), (2, TransactionStatus.FAILED))
    )
    refund = a_transaction("a", TransactionType.REFUND, audit_trail=steps, response_text="No")
    assert [(each.at, each.title, each.status, each.detail) for each in of_transaction(refund)] == [
        (AT.format(1), "Refund pending", "pending", None),
        (AT.format(2), "Refund failed", "failed", "No"),
    ]
    [only] = of_transaction(a_transaction("b", TransactionType.CAPTURE))
    assert (only.at, only.title) == (AT.format(1), "Capture succeeded")


def test_events_are_in_the_order_of_time_and_then_of_kind() -> None:
    dispute = Dispute(status=DisputeStatus.WON, amount=900, since=AT.format(1))
    payment = a_payment(disputes={"dp_1": dispute})
    capture = a_transaction("a", TransactionType.CAPTURE)
    line = LineView(
        settlement_bucket="set_1#0",
        settlement_id="set_1",
        line=7,
        status=LineStatus.MATCHED,
        amount=-1000,
        currency="USD",
        created_at=AT.format(9),
    )
    events = in_order([of_line(line), *of_payment(payment), *of_transaction(capture)])
    assert [(each.kind, each.id, each.amount) for each in events] == [
        ("created", PAYMENT, 1000),
        ("transaction", capture.id, 1000),
        ("dispute", "dp_1", 900),
        ("settlement_line", "set_1", -1000),
    ]
    assert events[-1].line == 7


def test_the_ids_of_a_disputes_webhooks_follow_from_the_recorded_change() -> None:
    opened = Dispute(status=DisputeStatus.OPENED, amount=1000)
    lost = Dispute(status=DisputeStatus.LOST, amount=1000)
    before = a_payment(version=3, disputes={"dp_1": opened})
    after = a_payment(version=4, disputes={"dp_1": opened, "dp_2": lost})
    row = audited(before, after)
    found = [
        each
        for change in status_changes([row], after, [])
        for each in delivery_ids(change, MERCHANT, [FIRST, OTHER])
    ]
    events = events_of(before, after)
    assert [event.type.value for event in events] == ["dispute.opened", "dispute.lost"]
    assert found == [event.delivery_id(each) for event in events for each in (FIRST, OTHER)]
    assert set(found) <= set(traced_ids(row, [OTHER]))


def audited(before: Payment, after: Payment) -> AuditRow:
    """The audit row of a change of disputes alone."""
    values = [{"disputes": row.model_dump(mode="json")["disputes"]} for row in (before, after)]
    return AuditRow(
        entity_id=after.id,
        sequence=version_key(after.version),
        action_bucket="dispute_changed#000",
        timestamp=after.updated_at,
        entity_type=EntityType.PAYMENT,
        version=after.version,
        action="dispute_changed",
        user_id="processor sandbox",
        merchant_id=MERCHANT,
        old_values=values[0],
        new_values=values[1],
        changes=("disputes",),
        prev_hash=GENESIS,
    )
