"""Rows that were stored with a payment's or a transaction's are listed with it, others alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime.audit import repository
from runtime.audit.models import AuditRow
from runtime.core.errors import ChainTooLong
from runtime.core.timestamps import to_timestamp
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from tests.integration.audit.test_queries import (
    as_merchant,
    as_operator,
    listed,
    newest_first,
    reported,
)
from tests.support.audit import rows as records
from tests.support.audit.rows import DONE, audit_projection, next_version
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

MERCHANT = "mer_a"
CLIENT = "shop-backend@1"


def stamped(platform: Platform, **more: Any) -> dict[str, Any]:
    at = to_timestamp(platform.clock())
    times = {"created_at": at, "updated_at": at}
    stamp = {**SETUP.stamp(), "changed_by": CLIENT}
    return {"merchant_id": MERCHANT, "currency": "USD", "amount": 100, **times, **stamp, **more}


def posted(platform: Platform, transaction: Transaction, **more: Any) -> Transfer:
    """The transfer that is stored with a transaction."""
    transfer_id = transaction.id.replace("txn_", "trf_")
    values = {
        "id": transfer_id,
        "operation_id": new_id("pos", platform.clock()),
        "legs": (Leg(from_account_id="acc_a", to_account_id="acc_b", amount=100),),
        "status": "processed",
        "payment_id": transaction.payment_id,
        "updated_at": transaction.updated_at,
        "cause": transaction.cause if transaction.cause.startswith("pay_") else transaction.id,
        **more,
    }
    return Transfer(**stamped(platform, **values))


def charged(platform: Platform, **more: Any) -> Transaction:
    """The transaction of a charge."""
    payment = new_id("pay", platform.clock())
    values = {
        "id": payment.replace("pay_", "txn_"),
        "payment_id": payment,
        "type": "capture",
        "status": "succeeded",
        "cause": payment,
        **more,
    }
    return Transaction(**stamped(platform, **values))


def paid(platform: Platform, transaction: Transaction, status: str, **more: Any) -> Any:
    """The payment of a charge, before and after its answer."""
    values = stamped(platform, **more)
    begun = Payment(
        **values,
        id=transaction.payment_id,
        processor="sandbox",
        payment_method="tok_approved",
        idempotency_scope="s",
        status="processing",
    )
    answered = {"status": status, "cause": transaction.id, "updated_at": transaction.updated_at}
    return begun, next_version(begun, changed_by=transaction.changed_by, **answered)


def recorded(platform: Platform, *steps: tuple[Any, Any]) -> list[AuditRow]:
    """The audit rows of changes, each a row before and after."""
    project = audit_projection(platform)
    assert project([records.reported(platform, old, new) for old, new in steps]) == DONE
    return platform.rows(AuditRow)


def refund(platform: Platform, payment: str) -> tuple[Transaction, Transaction]:
    """A refund that is pending, and then succeeds."""
    ids = {"id": new_id("txn", platform.clock()), "payment_id": payment, "cause": "att_1"}
    pending = charged(platform, **ids, type="refund", status="pending")
    platform.clock.advance(2)
    at = to_timestamp(platform.clock())
    done = next_version(pending, status="succeeded", updated_at=at, changed_by=CLIENT, cause="out")
    return pending, done


def unlisted(rows: list[AuditRow]) -> set[str]:
    """Entities of the rows without entries of a user and a merchant."""
    without = {row.entity_id for row in rows if row.user_bucket is None}
    assert without == {row.entity_id for row in rows if row.merchant_bucket is None}
    return without


def must_be_listed(platform: Platform, rows: list[AuditRow]) -> None:
    """By user, and by each action, for the merchant and for an operator, whatever the limit."""
    for call in (as_merchant(platform, MERCHANT), as_operator(platform)):
        for limit in (1, 2, 3, 50):
            found = reported(listed(platform, call, user_id=CLIENT, limit=limit))
            assert found == newest_first(rows)
        for action in {row.action for row in rows}:
            found = reported(listed(platform, call, action=action, limit=2))
            assert found == newest_first([row for row in rows if row.action == action])


def test_what_is_stored_with_a_payment_or_transaction_is_listed_with_it(
    either_world: Platform,
) -> None:
    platform = either_world
    sale = charged(platform)
    sold = posted(platform, sale)
    begun, succeeded = paid(platform, sale, "succeeded")
    platform.clock.advance(1)
    pending, done = refund(platform, sale.payment_id)
    back = posted(platform, done)
    rows = recorded(
        platform,
        *((None, sold), (None, sale), (None, begun), (begun, succeeded)),
        *((None, pending), (pending, done), (None, back)),
    )
    assert unlisted(rows) == {sale.id, sold.id, back.id}
    must_be_listed(platform, rows)


def test_an_authorization_is_listed_with_its_payment_and_a_failed_charge_by_itself(
    platform: Platform,
) -> None:
    held = charged(platform, type="authorization")
    begun, authorized = paid(platform, held, "requires_capture")
    failed = charged(platform, status="failed")
    tried, refused = paid(platform, failed, "failed")
    rows = recorded(
        platform,
        *((None, held), (None, begun), (begun, authorized)),
        *((None, failed), (None, tried), (tried, refused)),
    )
    assert unlisted(rows) == {held.id}
    must_be_listed(platform, rows)


def test_the_rebuilt_row_of_a_payment_lists_its_charge(platform: Platform) -> None:
    sale = charged(platform)
    begun, succeeded = paid(platform, sale, "succeeded")
    later = next_version(succeeded, changed_by=CLIENT, description="new")
    rows = recorded(
        platform,
        *((None, posted(platform, sale)), (None, sale)),
        *((None, begun), (succeeded, later)),  # the record of the answer was lost
    )
    assert [row.action for row in rows if row.entity_id == begun.id] == [
        "payment_created",
        "rebuilt",
        "payment_updated",
    ]
    must_be_listed(platform, rows)


def test_a_posting_of_another_kind_has_entries_of_its_own(platform: Platform) -> None:
    sale = charged(platform)
    others = [
        posted(platform, sale, id=new_id("trf", platform.clock())),
        posted(platform, sale, id=new_id("trf", platform.clock()), cause="evt_1"),
        posted(platform, sale, cause=sale.id.replace("txn_", "trf_"), payment_id=None),
    ]
    rows = recorded(platform, *((None, each) for each in others))
    assert unlisted(rows) == set()
    must_be_listed(platform, rows)


def test_a_row_of_another_time_is_not_listed_with_a_payment(platform: Platform) -> None:
    sale = charged(platform)
    begun, succeeded = paid(platform, sale, "succeeded")
    at = to_timestamp(platform.clock() + timedelta(seconds=1))
    other = posted(platform, sale, updated_at=at)
    rows = recorded(platform, (None, sale), (None, begun), (begun, succeeded), (None, other))
    mine = as_merchant(platform, MERCHANT)
    listed_rows = [row for row in rows if row.entity_id != other.id]
    assert reported(listed(platform, mine, user_id=CLIENT)) == newest_first(listed_rows)


def test_a_row_that_was_stored_with_entries_is_listed_once(platform: Platform) -> None:
    sale = charged(platform)
    begun, succeeded = paid(platform, sale, "succeeded")
    changes = [(None, sale), (None, begun), (begun, succeeded), (None, posted(platform, sale))]
    rows = recorded(platform, *changes)
    buckets = {"user_bucket": f"{CLIENT}#000", "merchant_bucket": f"{MERCHANT}#000"}
    for row in rows:
        if row.user_bucket is None:
            platform.put(row.model_copy(update=buckets))
    must_be_listed(platform, rows)


# -------------------------------------------------------------------- by request

REQUEST = "req_JKJaXmPLvHcESHA="


def test_a_request_finds_all_rows_of_a_sale_through_one_entry(either_world: Platform) -> None:
    sale = charged(either_world, request_id=REQUEST)
    begun, succeeded = paid(either_world, sale, "succeeded", request_id=REQUEST)
    succeeded = succeeded.model_copy(update={"request_id": REQUEST})
    posting = posted(either_world, sale, request_id=REQUEST)
    changes = [(None, begun), (begun, succeeded), (None, sale), (None, posting)]
    rows = recorded(either_world, *changes)
    assert [row.entity_id for row in rows if row.listed_request] == [begun.id]
    for call in (as_merchant(either_world, MERCHANT), as_operator(either_world)):
        for limit in (1, 2, 50):
            found = reported(listed(either_world, call, request_id=REQUEST, limit=limit))
            assert found == newest_first(rows)
    other = as_merchant(either_world, "mer_b")
    assert reported(listed(either_world, other, request_id=REQUEST)) == []


def test_rows_of_other_requests_and_of_runs_are_not_in_a_requests_list(platform: Platform) -> None:
    account = records.account(platform, request_id=REQUEST)
    run = records.next_version(account, request_id="run_1")
    again = records.next_version(run, request_id=REQUEST)
    other = records.next_version(again, request_id="req_other")
    rows = recorded(platform, (None, account), (account, run), (run, again), (again, other))
    assert [row.listed_request for row in rows] == [REQUEST, None, REQUEST, "req_other"]
    call = as_operator(platform)
    assert reported(listed(platform, call, request_id=REQUEST)) == newest_first([rows[0], rows[2]])
    assert reported(listed(platform, call, request_id="req_other")) == newest_first(rows[3:])
    assert reported(listed(platform, call, request_id="req_unknown")) == []


def test_an_out_of_band_change_between_rows_of_a_request_does_not_hide_the_later_one(
    platform: Platform,
) -> None:
    account = records.account(platform, request_id=REQUEST)
    edited = account.model_copy(update={"held_in": 7})
    after = records.next_version(edited, request_id=REQUEST)
    rows = recorded(platform, (None, account), (account, edited), (edited, after))
    assert [row.request_id for row in rows] == [REQUEST, "", REQUEST]
    found = reported(listed(platform, as_operator(platform), request_id=REQUEST))
    assert found == newest_first([rows[0], rows[2]])


def test_a_request_that_changed_too_many_resources_is_refused(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "MAX_REQUEST_ENTITIES", 1)
    accounts = [records.account(platform, request_id=REQUEST) for _ in range(2)]
    recorded(platform, *((None, account) for account in accounts))
    with pytest.raises(ChainTooLong, match="more than 1 resources"):
        list(listed(platform, as_operator(platform), request_id=REQUEST))
