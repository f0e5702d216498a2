"""Fees of disputes in files: what they move on DynamoDB, and that the payment stays readable."""

from __future__ import annotations

import pytest

from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineStatus, LineType, SettlementStatus
from tests.support.platform import Platform
from tests.support.proved_shop import Shop
from tests.support.reconciliation.batches import line_of, read_line
from tests.support.reconciliation.decisions import Decisions


@pytest.fixture
def shop(platform: Platform) -> Shop:
    return Shop(platform)


@pytest.fixture
def decisions(shop: Shop) -> Decisions:
    return Decisions(shop.platform, shop.merchant)


def won(shop: Shop, decisions: Decisions) -> str:
    """A settled payment of which 600 were disputed and came back; the fee of 15 did not."""
    payment_id = shop.paid(amount=1000)
    (capture,) = shop.transactions("capture")
    decisions.close([line_of(2, capture)], name="sale.csv")
    shop.disputed(payment_id, returned=600)
    return payment_id


def line(payment_id: str, number: int, amount: int, fee: int) -> ImportedLine:
    return read_line(
        number,
        type=LineType.DISPUTE if amount < 0 else LineType.DISPUTE_REVERSAL,
        amount=amount,
        fee=fee,
        references=References(payment_id=payment_id, dispute_id="dp_1"),
        identity=f"dispute-{number}",
    )


def test_a_file_with_more_than_the_booked_fee_of_a_dispute_moves_nothing(
    shop: Shop, decisions: Decisions
) -> None:
    payment_id = won(shop, decisions)
    before = decisions.balances()
    settlement = decisions.close([line(payment_id, 2, -600, 600)], name="dispute.csv")
    assert settlement.status is SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    assert settlement.counts[LineStatus.FEE_MISMATCH] == 1
    assert decisions.balances() == before
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}


def test_a_file_that_returns_a_fee_before_it_charges_it_is_settled_and_verified(
    shop: Shop, decisions: Decisions
) -> None:
    payment_id = won(shop, decisions)
    decisions.close([line(payment_id, 3, 600, -5)], name="back.csv")
    dispute = (shop.payment(payment_id).disputes or {})["dp_1"]
    assert (dispute.settled_fee, dispute.learned_fee) == (0, -5)
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
    settlement = decisions.close([line(payment_id, 2, -600, 20)], name="taken.csv")
    assert settlement.status is SettlementStatus.COMPLETED
    assert set(decisions.balances().values()) <= {0}
    shop.pass_the_cut()
    assert shop.verify_ledger() == {}
