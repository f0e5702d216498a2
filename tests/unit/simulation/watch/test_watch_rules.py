"""Payments, keys, state machines, the audit log and webhooks, on handwritten commits."""

from __future__ import annotations

import pytest

from simulation.tasks import Violation
from tests.support.simulation.commits import HandMade

GENESIS = "0" * 64


@pytest.fixture
def engine():
    return HandMade()


def claim(state="in_progress", **more):
    return {
        "key": "mer_1#POST#/v1/payments#k",
        "merchant_id": "mer_1",
        "fingerprint": "f",
        "owner": "att_1",
        "created_at": "now",
        "request_id": "req_1",
        "state": state,
        **more,
    }


def completed(**more):
    answer = {"status_code": 201, "response_body": b"one", "expires_at": 1_086_400}
    return claim("completed", **{**answer, **more})


def payment(version=1, status="processing", **more):
    return {
        "id": "pay_1",
        "version": version,
        "status": status,
        "amount": 100,
        "currency": "USD",
        "merchant_id": "mer_1",
        "idempotency_scope": "mer_1#POST#/v1/payments#k",
        **more,
    }


def posting(name, source, target, amount, **more):
    return {
        "id": name,
        "version": 1,
        "operation_id": f"pos_{name}",
        "currency": "USD",
        "status": "processed",
        "payment_id": "pay_1",
        "legs": [{"from_account_id": source, "to_account_id": target, "amount": amount}],
        "amount": amount,
        "posted_amount": amount,
        "folded_accounts": [source, target],
        **more,
    }


def transaction(name, kind, amount, status="succeeded", **more):
    return {
        "id": name,
        "version": 1,
        "type": kind,
        "amount": amount,
        "currency": "USD",
        "payment_id": "pay_1",
        "status": status,
        **more,
    }


def captured(engine, amount=100, booked=100, refundable=100):
    engine.commit(payments=payment(), idempotency=claim())
    engine.commit(
        payments=payment(
            2,
            "succeeded",
            amount_captured=amount,
            refundable_minor=refundable,
            transaction_ids=["txn_1"],
        ),
        transactions=transaction("txn_1", "capture", amount),
        transfers=posting("trf_1", "acc_clearing_USD", "acc_receivable_mer_1_USD", booked),
        idempotency=completed(),
    )


# -------------------------------------------------------------------- payments


def test_a_charge_and_its_refund_are_correct(engine):
    captured(engine)
    engine.commit(
        payments=payment(
            3,
            "succeeded",
            refundable_minor=60,
            pending_refund_minor=40,
            transaction_ids=["txn_1", "txn_2"],
        ),
        transactions=transaction("txn_2", "refund", 40, "pending"),
    )
    engine.commit(
        payments=payment(4, "succeeded", pending_refund_minor=0, amount_refunded=40),
        transactions={"id": "txn_2", "status": "succeeded", "version": 2},
        transfers=posting("trf_2", "acc_receivable_mer_1_USD", "acc_clearing_USD", 40),
    )
    engine.commit(transactions={"id": "txn_1", "status": "settled", "version": 2})
    assert engine.found == []


def test_a_dispute_that_takes_money_back_is_correct(engine):
    captured(engine)
    engine.commit(
        payments=payment(
            3,
            "succeeded",
            refundable_minor=0,
            disputes={"dp_1": {"withheld": 100, "withdrawn": 100, "returned": 0}},
        ),
        transfers=posting("trf_2", "acc_receivable_mer_1_USD", "acc_clearing_USD", 100),
    )
    assert engine.found == []


def test_a_capture_above_the_authorized_amount_is_found(engine):
    captured(engine, 120, 120, 120)
    assert engine.found == ["ceiling"]


def test_an_unbooked_capture_is_found(engine):
    captured(engine, booked=90)
    assert engine.found == ["posting"]


def test_a_refundable_amount_above_the_captured_one_is_found(engine):
    captured(engine, refundable=110)
    assert engine.found == ["ceiling"]


def test_refunds_above_the_captured_amount_are_found(engine):
    captured(engine)
    engine.commit(
        payments=payment(
            3,
            "succeeded",
            refundable_minor=-20,
            pending_refund_minor=120,
            transaction_ids=["txn_1", "txn_2"],
        ),
        transactions=transaction("txn_2", "refund", 120, "pending"),
    )
    assert set(engine.found) == {"ceiling"}


def test_a_payment_that_disagrees_with_its_transactions_is_found(engine):
    captured(engine)
    engine.commit(payments=payment(3, "succeeded", pending_refund_minor=5, refundable_minor=95))
    engine.commit(transactions=transaction("txn_9", "refund", 7))
    assert engine.found == ["payment sums"] * 3


def test_a_payment_with_an_edited_description_is_still_checked(engine):
    engine.commit(payments=payment(), idempotency=claim())
    with engine.watch.by_hand("a description"):
        engine.commit(payments={"id": "pay_1", "description": "another"})
    captured = payment(2, "succeeded", amount_captured=100, refundable_minor=100)
    engine.commit(payments=captured, transactions=transaction("txn_1", "capture", 100))
    assert engine.found == ["posting"]


def test_a_payment_with_edited_amounts_is_not_checked(engine):
    captured(engine)
    with engine.watch.by_hand("an amount"):
        engine.commit(payments={"id": "pay_1", "amount_captured": 101})
    engine.commit(
        payments={"id": "pay_1", "version": 3, "amount_refunded": 40},
        transactions=transaction("txn_2", "refund", 40),
        transfers=posting("trf_2", "acc_receivable_mer_1_USD", "acc_clearing_USD", 40),
    )
    assert engine.found == []


def test_a_changed_fixed_field_is_found(engine):
    captured(engine)
    engine.commit(payments=payment(3, "succeeded", currency="EUR", transaction_ids=[]))
    engine.commit(
        transactions={"id": "txn_1", "status": "settled", "settlement_id": "set_1", "version": 2}
    )
    engine.commit(transactions={"id": "txn_1", "settlement_id": "set_2", "version": 3})
    assert engine.found == ["payment", "payment", "settled"]


# -------------------------------------------------------------------- idempotency keys


def test_a_claim_is_completed_once_and_kept_until_it_expires(engine):
    engine.commit(idempotency=claim())
    engine.commit(idempotency=completed())
    engine.time = 90_000.0
    engine.commit(idempotency=completed(owner="att_2"))
    assert engine.found == []


@pytest.mark.parametrize(
    "later",
    [
        completed(response_body=b"two"),
        completed(status_code=402),
        claim(status_code=None, response_body=None, expires_at=None),
        {**completed(), "deleted": True},
    ],
    ids=["another body", "another status", "taken again", "deleted"],
)
def test_a_changed_stored_answer_is_found(engine, later):
    engine.commit(idempotency=claim())
    engine.commit(idempotency=completed())
    engine.commit(idempotency={**later, "status_code": later.get("status_code", 201)})
    assert engine.found == ["idempotency key"]


def test_a_claim_in_progress_belongs_to_its_owner(engine):
    engine.commit(idempotency=claim())
    engine.commit(idempotency=claim(owner="att_2"))
    engine.commit(idempotency={**claim(), "deleted": True})
    assert engine.found == ["idempotency key"] * 2


def test_a_payment_without_its_claim_is_found(engine):
    engine.commit(payments=payment())
    assert engine.found == ["idempotency key"]


def test_two_payments_of_one_key_are_found(engine):
    captured(engine)
    engine.commit(payments=payment(id="pay_2"), idempotency=completed(request_id="req_2"))
    assert engine.found == ["idempotency key"] * 2


# -------------------------------------------------------------------- state machines


@pytest.mark.parametrize(
    ("table", "steps"),
    [
        ("transactions", ["pending", "succeeded", "settled", "succeeded", "failed"]),
        ("webhooks", ["pending", "pending", "delivered", "pending", "expired"]),
        ("settlements", ["processing", "completed_with_exceptions", "completed", "processing"]),
        ("settlement_files", ["received", "processing", "completed"]),
        ("exports", ["queued", "running", "running", "completed"]),
        ("processor_events", ["unapplied", "applied", "unapplied"]),
    ],
)
def test_legal_transitions_are_correct(engine, table, steps):
    for version, status in enumerate(steps, start=1):
        engine.commit(**{table: {"id": "x", "status": status, "version": version, "by_hand": True}})
    assert "state machine" not in engine.found


@pytest.mark.parametrize(
    ("table", "steps"),
    [
        ("payments", ["processing", "canceled"]),
        ("payments", ["processing", "succeeded", "failed"]),
        ("payments", ["processing", "failed", "succeeded"]),
        ("transactions", ["pending", "settled"]),
        ("transactions", ["failed", "succeeded"]),
        ("transfers", ["canceled"]),
        ("webhooks", ["delivered"]),
        ("webhooks", ["pending", "failed", "delivered"]),
        ("settlements", ["rejected", "processing"]),
        ("settlement_files", ["completed", "processing"]),
        ("exports", ["queued", "completed"]),
    ],
)
def test_an_illegal_transition_is_found(engine, table, steps):
    for version, status in enumerate(steps, start=1):
        engine.commit(**{table: {"id": "x", "status": status, "version": version, "by_hand": True}})
    assert "state machine" in engine.found


def test_a_version_that_skips_or_repeats_is_found(engine):
    for version in (1, 1, 2, 4):
        engine.commit(customers={"id": "cus_1", "version": version, "name": str(engine.time)})
    assert engine.found == ["state machine"] * 2


def test_a_deleted_financial_row_is_found(engine):
    row = {"settlement_bucket": "set_1#0", "line": 1, "status": "matched"}
    engine.commit(settlement_lines=row)
    engine.commit(settlement_lines={**row, "status": "superseded"})
    engine.commit(settlement_lines=row)
    engine.commit(settlement_lines={**row, "deleted": True})
    assert engine.found == ["state machine", "kept"]


# -------------------------------------------------------------------- audit log, webhooks


def link(sequence, prev_hash, own):
    return {"entity_id": "acc_1", "sequence": sequence, "prev_hash": prev_hash, "hash": own}


def test_a_chain_may_only_grow_at_its_end(engine):
    engine.commit(audit_log=[link("2", "a", "b"), link("1", GENESIS, "a")])
    engine.commit(audit_log=link("3", "b", "c"))
    assert engine.found == []
    assert engine.rules.audit.heads["acc_1"] == ("3", "c", 3)


def test_a_broken_rewritten_or_truncated_chain_is_found(engine):
    engine.commit(audit_log=link("2", GENESIS, "b"))
    engine.commit(audit_log=link("1", "b", "a"))
    engine.commit(audit_log=link("3", GENESIS, "c"))
    engine.commit(audit_log=link("3", "b", "d"))
    engine.commit(audit_log={**link("3", "b", "d"), "deleted": True})
    assert engine.found == ["audit"] * 4


DELIVERY = {
    "id": "evt_1",
    "version": 1,
    "status": "pending",
    "event_type": "alert.raised",
    "request_id": "run_1",
    "attempts": 0,
    "retry_bucket": "retry#000",
    "next_retry": "2026-03-14T09:05:00.000Z",
    "last_attempt": "2026-03-14T09:00:00.000Z",
}


def test_a_pending_delivery_that_no_worker_would_find_is_found(engine):
    engine.commit(webhooks=DELIVERY)
    assert engine.found == []
    engine.commit(webhooks={**DELIVERY, "version": 2, "retry_bucket": None, "next_retry": None})
    assert engine.found == ["webhook"]


def test_a_delivery_that_is_due_again_during_its_attempt_is_found(engine):
    engine.commit(webhooks=DELIVERY)
    due = {"next_retry": "2026-03-14T09:00:59.000Z"}
    engine.commit(webhooks={**DELIVERY, **due, "version": 2, "attempts": 1})
    assert engine.found == ["webhook"]


def test_a_delivery_that_changes_its_event_is_found(engine):
    row = DELIVERY
    engine.commit(webhooks=row)
    engine.commit(webhooks={**row, "version": 2, "attempts": 1})
    assert engine.found == []
    engine.commit(webhooks={**row, "version": 3, "attempts": 3})
    engine.commit(webhooks={**row, "version": 4, "attempts": 3, "event_type": "b"})
    engine.commit(webhooks={**row, "version": 5, "attempts": 3, "status": "failed"})
    engine.commit(webhooks={**row, "version": 6, "attempts": 3, "status": "pending"})
    assert engine.found == ["webhook"] * 4


def test_a_line_that_changes_its_bookings_is_found(engine):
    row = {"settlement_bucket": "set_1#0", "line": 1, "status": "matched"}
    engine.commit(settlement_lines={**row, "bookings": [{"transfer_id": "trf_1"}]})
    engine.commit(settlement_lines={**row, "bookings": []})
    assert engine.found == ["settlement line"]


# -------------------------------------------------------------------- the watch itself


def test_a_violation_has_its_time_and_reason(engine):
    engine.commit(idempotency=claim())
    engine.commit(payments=payment())
    (finding,) = engine.watch.findings
    assert str(finding).startswith("t=2.000 commit 2: idempotency key: pay_1 is made without")


def test_a_violation_ends_the_run_unless_collected(engine):
    engine.watch.stops = True
    engine.commit(idempotency=claim())
    with pytest.raises(Violation, match="commit 2: idempotency key"):
        engine.commit(payments=payment())


def test_an_edited_text_does_not_excuse_an_amount(engine):
    captured(engine)
    with engine.watch.by_hand("an operator's edits"):
        engine.commit(payments={"id": "pay_1", "description": "another order"})
        engine.commit(payments={"id": "pay_1", "description": None})
        engine.commit(payments={"id": "pay_1", "description": "hides", "amount_captured": 101})
        engine.commit(payments={"id": "pay_1", "deleted": True})
    assert [edit.is_of_words for edit in engine.watch.edits] == [True, True, False, False]
