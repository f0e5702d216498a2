"""The key of a posting prevents a second one of the same fact, even without other conditions."""

from __future__ import annotations

import pytest

from runtime.core.ids import created_at
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import absent, put
from runtime.ledger.transfers.models import Transfer
from runtime.payments.charge.outcome import outcome_of
from runtime.payments.rules import Approved
from runtime.payments.transaction_models import Transaction
from tests.support.platform import Platform


def test_a_second_posting_of_a_charge_is_refused_by_its_key(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    assert platform.pay(merchant).status == 201
    (payment,), (booked,) = platform.payments(), platform.rows(Transfer)
    unanswered = payment.model_copy(update={"status": "processing", "transaction_ids": ()})
    platform.clock.advance(60)
    again = outcome_of(
        unanswered, Approved("sbx_2", 30), merchant, platform.clock(), platform.deps()
    )
    transfer = again.writes.transfer
    assert transfer is not None
    assert transfer.operation_id != booked.operation_id
    with pytest.raises(TransactionRefused):
        platform.store.transact([put(transfer).when(absent("id"))], token="again")


def test_an_operation_finished_late_is_posted_under_its_transaction_at_the_time_of_its_commit(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    payment_id = platform.paid(merchant)
    platform.clock.advance(3600)
    assert platform.operate(merchant, payment_id, "refund", amount=400).status == 200
    (refund,) = (row for row in platform.rows(Transaction) if row.type == "refund")
    (booked,) = (row for row in platform.rows(Transfer) if row.id == f"trf_{refund.id[4:]}")
    assert (booked.amount, booked.payment_id) == (400, payment_id)
    assert to_timestamp(created_at(booked.operation_id)) == refund.processed_at
