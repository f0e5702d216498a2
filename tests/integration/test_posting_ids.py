"""The key of a posting refuses a second one of the same fact, even without any other condition."""

from __future__ import annotations

import pytest

from runtime.domain.ids import created_at
from runtime.domain.instants import to_instant
from runtime.domain.payments import Approved
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.repositories.expressions import absent, put
from runtime.repositories.refusals import TransactionRefused
from runtime.services.payment_outcome import outcome_of
from tests.support.world import World


def test_a_charge_that_another_attempt_books_again_is_refused_by_the_key(world: World) -> None:
    merchant = world.merchant()
    assert world.pay(merchant).status == 201
    (payment,), (booked,) = world.payments(), world.rows(Transfer)
    unanswered = payment.model_copy(update={"status": "processing", "transaction_ids": ()})
    world.clock.advance(60)
    again = outcome_of(unanswered, Approved("sbx_2", 30), merchant, world.clock(), world.desk())
    transfer = again.writes.transfer
    assert transfer is not None
    assert transfer.operation_id != booked.operation_id
    with pytest.raises(TransactionRefused):
        world.store.transact([put(transfer).when(absent("id"))], token="again")


def test_an_operation_finished_late_is_posted_under_its_transaction_at_the_time_of_its_commit(
    world: World,
) -> None:
    merchant = world.merchant()
    payment_id = world.paid(merchant)
    world.clock.advance(3600)
    assert world.operate(merchant, payment_id, "refund", amount=400).status == 200
    (refund,) = (row for row in world.rows(Transaction) if row.type == "refund")
    (booked,) = (row for row in world.rows(Transfer) if row.id == f"trf_{refund.id[4:]}")
    assert (booked.amount, booked.payment_id) == (400, payment_id)
    assert to_instant(created_at(booked.operation_id)) == refund.processed_at
