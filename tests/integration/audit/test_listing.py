"""Rows of postings are listed with those of their transactions, and all others by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime.audit.models import AuditRow
from runtime.core.timestamps import to_timestamp
from runtime.ledger.transfers.models import Leg, Transfer
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


def test_a_posting_is_listed_by_user_and_merchant_without_entries_of_its_own(
    either_world: Platform,
) -> None:
    platform = either_world
    sale = charged(platform)
    sold = posted(platform, sale)
    platform.clock.advance(1)
    begun, done = refund(platform, sale.payment_id)
    back = posted(platform, done)
    rows = recorded(
        platform, (None, sold), (None, sale), (None, begun), (begun, done), (None, back)
    )
    without = {row.entity_id for row in rows if row.user_bucket is None}
    assert without == {sold.id, back.id}
    assert without == {row.entity_id for row in rows if row.merchant_bucket is None}
    everything = newest_first(rows)
    mine, operator = as_merchant(platform, MERCHANT), as_operator(platform)
    for limit in (1, 2, 3, 50):
        assert reported(listed(platform, operator, user_id=CLIENT, limit=limit)) == everything
        assert reported(listed(platform, mine, user_id=CLIENT, limit=limit)) == everything
    postings = newest_first([row for row in rows if row.action == "transfer_processed"])
    for call in (mine, operator):
        found = reported(listed(platform, call, action="transfer_processed", limit=1))
        assert found == postings
        captures = reported(listed(platform, call, action="capture_succeeded"))
        assert captures == newest_first([row for row in rows if row.entity_id == sale.id])


def test_a_posting_of_another_kind_has_entries_of_its_own(platform: Platform) -> None:
    sale = charged(platform)
    others = [
        posted(platform, sale, id=new_id("trf", platform.clock())),
        posted(platform, sale, id=new_id("trf", platform.clock()), cause="evt_1"),
        posted(platform, sale, cause=sale.id.replace("txn_", "trf_"), payment_id=None),
    ]
    rows = recorded(platform, *((None, each) for each in others))
    assert [row.entity_id for row in rows if row.user_bucket is None] == []
    mine = as_merchant(platform, MERCHANT)
    assert reported(listed(platform, mine, user_id=CLIENT)) == newest_first(rows)


@pytest.mark.parametrize("status", ["failed", "pending", "succeeded"])
def test_a_transaction_without_a_posting_lists_only_itself(platform: Platform, status: str) -> None:
    sale = charged(platform, status=status)
    at = to_timestamp(platform.clock() + timedelta(seconds=1))
    later = posted(platform, sale, updated_at=at)  # of another time: not the posting of this commit
    rows = recorded(platform, (None, sale), (None, later))
    own = [row for row in rows if row.entity_id == sale.id]
    mine = as_merchant(platform, MERCHANT)
    assert reported(listed(platform, mine, user_id=CLIENT)) == newest_first(own)


def test_a_row_that_was_stored_with_entries_is_listed_once(platform: Platform) -> None:
    sale = charged(platform)
    rows = recorded(platform, (None, sale), (None, posted(platform, sale)))
    (posting,) = [row for row in rows if row.user_bucket is None]
    buckets = {"user_bucket": f"{CLIENT}#000", "merchant_bucket": f"{MERCHANT}#000"}
    platform.put(posting.model_copy(update=buckets))
    mine = as_merchant(platform, MERCHANT)
    for limit in (1, 50):
        found = reported(listed(platform, mine, user_id=CLIENT, limit=limit))
        assert found == newest_first(rows)
