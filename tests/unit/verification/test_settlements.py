"""The rules for settlement postings: sums over lines and transfers, and single lines."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.ledger.rules import clearing_account, fees_account, receivable_account
from runtime.reconciliation.matching.flows import (
    Amounts,
    accepted,
    added,
    adjustment,
    cost,
    flow_moves,
    reversed_flows,
    settled,
    written_off,
)
from runtime.reconciliation.settlements.line_keys import FIRST_MISSING_LINE
from runtime.reconciliation.settlements.models import Flows, LineStatus, LineType, ResolutionAction
from runtime.verification.payments.rules import (
    DisputeFacts,
    PaymentFacts,
    TransactionFacts,
    added_up,
    fact_nets,
    totals_that_differ,
)
from runtime.verification.rules import MODULUS
from runtime.verification.settlements.rules import (
    BookingFacts,
    LineFacts,
    ResolutionFacts,
    line_contradictions,
    settled_fingerprint,
    settled_nets,
    settlement_fingerprint,
    settling,
)

USD = "USD"
MERCHANT = "mer_A"
CLEARING, FEES = clearing_account(USD), fees_account(USD)
NOW = "2026-03-15T12:00:00.000Z"
LATER = "2026-03-15T12:00:00.001Z"

minor = st.integers(-(10**12), 10**12)
amounts = st.builds(Amounts, amount=minor, fee=st.integers(-(10**6), 10**6))
all_flows = st.builds(Flows, **dict.fromkeys(Flows.model_fields, minor))


def a_line(**changes: Any) -> LineFacts:
    """A matched capture of 1,000 with a fee of 30, booked correctly."""
    fields: dict[str, Any] = {
        "settlement_bucket": "set_A#000",
        "line": 2,
        "settlement_id": "set_A",
        "merchant_id": MERCHANT,
        "status": LineStatus.MATCHED,
        "type": LineType.CAPTURE,
        "payment_id": "pay_A",
        "fee": 30,
        "net": 970,
        "currency": USD,
        "bookings": (booked(settled(Amounts(amount=1_000, fee=30))),),
    }
    return LineFacts(**fields | changes)


def booked(flows: Flows, transfer_id: str = "trf_A", currency: str = USD) -> BookingFacts:
    return BookingFacts(transfer_id=transfer_id, currency=currency, flows=flows)


def wrong_with(**changes: Any) -> list[tuple[str, str]]:
    return list(line_contradictions(a_line(**changes)))


# -------------------------------------------------------------------- a transfer and its lines


@given(st.lists(all_flows, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_bookings_of_lines_add_up_to_their_transfer(flows: list[Flows], dice: Random) -> None:
    one_by_one = [flow_moves(each, MERCHANT, USD) for each in flows]
    parts = [settlement_fingerprint("trf_A", "set_A", moves, 1) for moves in one_by_one]
    gross = [move for moves in one_by_one for move in moves]
    offset = flow_moves(added(flows), MERCHANT, USD)
    dice.shuffle(gross)
    for moves in (gross, offset):
        whole = settlement_fingerprint("trf_A", "set_A", moves, len(flows))
        assert whole % MODULUS == sum(parts) % MODULUS


@given(all_flows, st.sampled_from(sorted(Flows.model_fields)), st.integers(1, 10**12))
def test_a_different_amount_line_transfer_or_settlement_changes_the_fingerprint(
    flows: Flows, name: str, difference: int
) -> None:
    def fingerprint_of(
        moved: Flows, transfer: str = "trf_A", of: str = "set_A", lines: int = 1
    ) -> int:
        return (
            settlement_fingerprint(transfer, of, flow_moves(moved, MERCHANT, USD), lines) % MODULUS
        )

    changed = flows.model_copy(update={name: getattr(flows, name) + difference})
    prints = [
        fingerprint_of(flows),
        fingerprint_of(changed),
        fingerprint_of(flows, transfer="trf_B"),
        fingerprint_of(flows, of="set_B"),
        fingerprint_of(flows, lines=2),
        fingerprint_of(flows, lines=0),
    ]
    assert len(set(prints)) == len(prints)


# -------------------------------------------------------------------- a payment and its lines


@given(amounts, amounts)
def test_settling_a_fact_returns_clearing_and_fees_to_zero(line: Amounts, ours: Amounts) -> None:
    fee_unknown = Amounts(amount=ours.amount)
    ways = [
        (ours, settled(ours)),
        (ours, accepted(line, ours)),
        (ours, written_off(line, ours)),
        (fee_unknown, settled(ours, learned_fee=ours.fee)),
    ]
    for known, flows in ways:
        fact = fact_nets(MERCHANT, USD, known.amount, known.fee)
        left = added_up([fact, settling(a_line(), [booked(flows)])])
        assert not left.keys() & {CLEARING, FEES}
        undone = [booked(flows), booked(reversed_flows(flows), "trf_B")]
        assert settling(a_line(), undone) == {}


@given(amounts, minor)
def test_fees_and_adjustments_change_neither_clearing_nor_fees(line: Amounts, net: int) -> None:
    for flows in (adjustment(line), cost(net)):
        assert settling(a_line(), [booked(flows)]) == {}
        moved = flow_moves(flows, MERCHANT, USD)
        receivable = receivable_account(MERCHANT, USD)
        assert sum(amount for _, payee, amount in moved if payee == receivable) == sum(
            amount for payer, _, amount in moved if payer == receivable
        )


def a_capture(**changes: Any) -> TransactionFacts:
    fields = {"id": "txn_A", "type": "capture", "amount": 1_000, "fee": 30}
    when = {"settlement_id": "set_A", "settled_at": NOW}
    return TransactionFacts(**fields | when | changes)


def a_payment(**disputes: DisputeFacts) -> PaymentFacts:
    return PaymentFacts(id="pay_A", merchant_id=MERCHANT, currency=USD, disputes=disputes or None)


def test_the_expected_settlement_is_the_opposite_of_the_settled_facts() -> None:
    returned = a_capture(id="txn_B", type="refund", amount=400, fee=0, return_settlement_id="set_B")
    transactions = [
        a_capture(),
        a_capture(id="txn_C", amount=7, fee=0, settlement_id=None, settled_at=None),
        a_capture(id="txn_D", type="refund", amount=250, fee=0),
        returned,
    ]
    dispute = DisputeFacts(settled_withdrawn=300, settled_returned=100, settled_fee=15)
    assert settled_nets(a_payment(dp_1=dispute), transactions) == {
        CLEARING: 1_000 - 250 - 400 + 400 - (300 - 100),
        FEES: -30 - 15,
    }


def test_a_learned_fee_is_booked_by_the_settlement() -> None:
    assert settled_nets(a_payment(), [a_capture(learned_fee=30)]) == {CLEARING: 1_000}


def test_facts_settled_after_the_cut_are_not_counted() -> None:
    later = a_capture(settled_at=LATER)
    assert settled_nets(a_payment(), [later], NOW) == {}
    assert settled_nets(a_payment(), [later], LATER) == settled_nets(a_payment(), [later])


def test_a_learned_fee_stays_with_the_payment_when_its_refund_is_returned() -> None:
    refund = a_capture(type="refund", status="failed", amount=400, fee=5, learned_fee=5)
    payment = a_payment().model_copy(update={"fee": 5})
    assert totals_that_differ(payment, [refund]) == []
    assert totals_that_differ(a_payment(), [refund]) == [("fee", 5, 0)]


@given(st.lists(minor, min_size=1, max_size=6))
def test_lines_of_a_payment_add_up_to_its_settled_amounts(parts: list[int]) -> None:
    prints = [settled_fingerprint("pay_A", {CLEARING: each, FEES: -each}) for each in parts]
    whole = settled_fingerprint("pay_A", {CLEARING: sum(parts), FEES: -sum(parts)})
    assert sum(prints) % MODULUS == whole % MODULUS


# -------------------------------------------------------------------- a line alone

RESOLVED = {"status": LineStatus.AMOUNT_MISMATCH, "type": LineType.CAPTURE}
OURS = Amounts(amount=900, fee=30)
FILE = Amounts(amount=1_000, fee=30)


def resolved_by(action: ResolutionAction, flows: Flows) -> dict[str, Any]:
    resolution = ResolutionFacts(action=action)
    return {**RESOLVED, "resolution": resolution, "bookings": (booked(flows),)}


SOUND: dict[str, dict[str, Any]] = {
    "as it was read": {},
    "a learned fee": {"bookings": (booked(accepted(FILE, Amounts(amount=1_000))),)},
    "open": {"status": LineStatus.FEE_MISMATCH, "bookings": ()},
    "taken back": {
        "status": LineStatus.SUPERSEDED,
        "bookings": (booked(settled(FILE)), booked(reversed_flows(settled(FILE)), "trf_B")),
    },
    "accepted": resolved_by(ResolutionAction.ACCEPT, accepted(FILE, OURS)),
    "written off": resolved_by(ResolutionAction.WRITE_OFF, written_off(FILE, OURS)),
    "linked": resolved_by(ResolutionAction.LINK, settled(FILE)),
    "ignored": {**resolved_by(ResolutionAction.IGNORE, Flows()), "bookings": ()},
    "a fee": {
        "type": LineType.FEE,
        "payment_id": None,
        "fee": 0,
        "net": -50,
        "bookings": (booked(cost(-50)),),
    },
    "a fee that is written off": {
        **resolved_by(ResolutionAction.WRITE_OFF, written_off(Amounts(amount=-50), Amounts())),
        "type": LineType.FEE,
        "payment_id": None,
        "fee": 0,
        "net": -50,
    },
    "an adjustment": {
        "type": LineType.ADJUSTMENT,
        "payment_id": None,
        "bookings": (booked(adjustment(FILE)),),
    },
    "a payout": {"type": LineType.PAYOUT, "payment_id": None, "bookings": ()},
    "in no file": {
        **resolved_by(ResolutionAction.ACCEPT, accepted(Amounts(), OURS)),
        "status": LineStatus.MISSING,
        "line": FIRST_MISSING_LINE + 5,
    },
    "missing, and found in a later file": {"line": FIRST_MISSING_LINE + 5, "bookings": ()},
    "paid in another currency": {
        "presented_amount": 900,
        "presented_currency": "EUR",
        "bookings": (
            booked(cost(-30)),
            booked(settled(Amounts(amount=900)), "trf_B", "EUR"),
        ),
    },
}


@pytest.mark.parametrize("how", sorted(SOUND))
def test_a_line_that_agrees_with_its_bookings_is_accepted(how: str) -> None:
    assert wrong_with(**SOUND[how]) == []


UNSOUND: dict[str, tuple[dict[str, Any], str]] = {
    "not booked": ({"bookings": ()}, "net 970 and fee 30 USD"),
    "booked twice": (
        {"bookings": (booked(settled(FILE)), booked(settled(FILE), "trf_B"))},
        "net 970 and fee 30 USD",
    ),
    "twice by one transfer": (
        {"bookings": (booked(settled(FILE)), booked(Flows()))},
        "one booking by trf_A",
    ),
    "open, and booked": (
        {"status": LineStatus.DUPLICATE},
        "nothing booked of a line that is duplicate",
    ),
    "superseded, and booked": (
        {"status": LineStatus.SUPERSEDED},
        "nothing booked of a line that is superseded",
    ),
    "ignored, and booked": (
        resolved_by(ResolutionAction.IGNORE, settled(FILE)),
        "nothing booked of a line that is amount_mismatch",
    ),
    "a payout that is booked": (
        {"type": LineType.PAYOUT, "bookings": (booked(adjustment(FILE)),)},
        "nothing booked of a line that is matched",
    ),
    "matched, with a part written off": (
        {"bookings": (booked(written_off(FILE, OURS)),)},
        "nothing written off",
    ),
    "accepted, with a part written off": (
        resolved_by(ResolutionAction.ACCEPT, written_off(FILE, OURS)),
        "nothing written off",
    ),
    "settled without a payment": (
        {"payment_id": None},
        f"0 on {CLEARING}, as of a line without a payment",
    ),
    "a fee of another amount": (
        {"type": LineType.FEE, "fee": 0, "net": -50, "bookings": (booked(cost(-40)),)},
        "net -50 and fee 50 USD",
    ),
    "in another currency": (
        {"bookings": (booked(settled(FILE), currency="EUR"),)},
        "net 970 and fee 30 USD",
    ),
}


@pytest.mark.parametrize("how", sorted(UNSOUND))
def test_a_line_that_contradicts_its_bookings_is_reported(how: str) -> None:
    changes, expected = UNSOUND[how]
    assert expected in {each for each, _ in wrong_with(**changes)}
