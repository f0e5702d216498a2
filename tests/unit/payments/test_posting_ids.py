"""One fact of a payment has one transfer id, however often and whenever it is booked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.payments.posting_ids import (
    charge_transaction_id,
    dispute_posting_id,
    posting_id,
    returned_refund_posting_id,
)
from tests.support.outside import new_id

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SINCE = to_timestamp(NOW)


def test_a_charge_its_transaction_and_its_posting_share_their_unique_part() -> None:
    payment_id = new_id("pay", NOW)
    transaction_id = charge_transaction_id(payment_id)
    assert transaction_id.startswith("txn_")
    assert posting_id(transaction_id).startswith("trf_")
    assert {each.partition("_")[2] for each in (transaction_id, posting_id(transaction_id))} == {
        payment_id.partition("_")[2]
    }


def test_postings_of_one_transaction_have_different_ids_of_its_time() -> None:
    transaction_id = new_id("txn", NOW)
    ids = [
        posting_id(transaction_id),
        returned_refund_posting_id(transaction_id),
    ]
    assert len(set(ids)) == 2
    assert {created_at(each) for each in ids} == {NOW}
    assert ids[1] == returned_refund_posting_id(transaction_id)


def test_each_step_of_each_dispute_has_its_own_id() -> None:
    ids = [
        dispute_posting_id(payment_id, dispute_id, SINCE, step)
        for payment_id in ("pay_1", "pay_2")
        for dispute_id in ("dp_1", "dp_2")
        for step in (1, 2, 3)
    ]
    assert len(set(ids)) == len(ids)
    assert dispute_posting_id("pay_1", "dp_1", SINCE, 1) == ids[0]
    with pytest.raises(AssertionError, match="from 1, not 0"):
        dispute_posting_id("pay_1", "dp_1", SINCE, 0)


def test_an_id_without_a_time_has_postings_too() -> None:
    assert returned_refund_posting_id("by hand") == returned_refund_posting_id("by hand")
    assert returned_refund_posting_id("by hand") != returned_refund_posting_id("by foot")
