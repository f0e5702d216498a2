"""Decisions about lines that the processor's events book as well: each amount is booked once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runtime.core.errors import ActionNotApplicable
from runtime.core.scope import UNRESTRICTED
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.models import KeptEvent, ProcessorEventStatus
from runtime.payments.disputes.poll import poll
from runtime.payments.processors.events import Unapplied
from runtime.payments.transaction_models import Transaction, TransactionType
from runtime.reconciliation.importers.line import References
from runtime.reconciliation.settlements.models import LineStatus, LineType, SettlementLine
from runtime.reconciliation.unsettled.sweep import sweep_missing
from tests.integration.payments.processors.test_hints import EventKind, EventWorld
from tests.integration.reconciliation.test_resolutions import dependencies_of_sweep
from tests.support.platform import Platform
from tests.support.reconciliation.batches import Line, line_of, read_line
from tests.support.reconciliation.decisions import Decisions

ACTIONS = ("accept", "write_off")
WEEK_AND_A_DAY = 8 * 86_400


@pytest.fixture
def world(platform: Platform) -> EventWorld:
    return EventWorld(platform)


@pytest.fixture
def decisions(platform: Platform, world: EventWorld) -> Decisions:
    """Those of a merchant whose only capture is settled."""
    return Decisions(platform, world.shop)


def settle_capture(decisions: Decisions) -> None:
    rows = decisions.platform.rows(Transaction)
    (capture,) = (each for each in rows if each.type is TransactionType.CAPTURE)
    decisions.close([line_of(2, capture)], name="first.csv")


def the_line(decisions: Decisions, status: LineStatus) -> SettlementLine:
    rows = decisions.platform.rows(SettlementLine)
    (found,) = (each for each in rows if each.status is status)
    return found


def must_be_left_open_until_it_is_booked(
    decisions: Decisions, line: Line, event: Callable[[], object]
) -> None:
    """No decision that books is possible; after the event the same file settles the line."""
    before = decisions.balances()
    decisions.close([line], name="second.csv")
    early = the_line(decisions, LineStatus.STATUS_MISMATCH)
    for action in ACTIONS:
        with pytest.raises(ActionNotApplicable, match=r"booked.* yet; put .*; leave it open"):
            decisions.resolve(early, action)
    assert decisions.balances() == before
    event()
    decisions.close([line], name="second.csv")
    rows = decisions.platform.rows(SettlementLine)
    (settled,) = (each for each in rows if each.identity == early.identity)
    assert settled.status is LineStatus.MATCHED
    decisions.must_count()


def test_a_returned_refund_is_not_accepted_before_its_event_has_booked_it(
    world: EventWorld, decisions: Decisions
) -> None:
    settle_capture(decisions)
    refund = world.refund(400)
    decisions.close([line_of(3, refund)], name="refund.csv")
    line = read_line(
        2,
        type=LineType.REFUND_FAILURE,
        amount=400,
        references=References(payment_id=world.payment_id, transaction_id=refund.id),
        identity="returned",
        payout_reference="po_2",
    )

    def come_back() -> None:
        world.returned(refund)
        world.hear(EventKind.REFUND_FAILED, reference=refund.id)

    must_be_left_open_until_it_is_booked(decisions, line, come_back)


def test_a_dispute_is_not_accepted_before_its_event_has_booked_it(
    world: EventWorld, decisions: Decisions
) -> None:
    settle_capture(decisions)

    def dispute() -> None:
        world.dispute()
        world.hear_of_dispute()

    must_be_left_open_until_it_is_booked(decisions, dispute_line(world, 2, "taken"), dispute)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_line_that_may_be_about_a_second_dispute_is_not_booked_by_a_decision(
    world: EventWorld, decisions: Decisions, action: str
) -> None:
    settle_capture(decisions)
    world.dispute()
    world.hear_of_dispute()
    first, second = (dispute_line(world, 2, "taken"), dispute_line(world, 3, "taken again"))
    decisions.close([first], name="second.csv")
    before = decisions.balances()
    decisions.close([first, second], name="second.csv")
    with pytest.raises(ActionNotApplicable, match="use link, ignore"):
        decisions.resolve(the_line(decisions, LineStatus.DUPLICATE), action)
    assert decisions.balances() == before


@pytest.mark.parametrize("action", ACTIONS)
def test_a_refund_that_was_accepted_as_missing_is_not_credited_again_when_it_comes_back(
    platform: Platform, world: EventWorld, decisions: Decisions, action: str
) -> None:
    settle_capture(decisions)
    start = decisions.balances()
    refund = world.refund(400)
    missing = missing_line(platform, decisions)
    decisions.resolve(missing, action)
    accepted = decisions.balances()
    world.returned(refund)
    assert world.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.KEPT
    (kept,) = platform.rows(KeptEvent)
    assert kept.reason == Unapplied.ACCEPTED_AS_MISSING
    assert decisions.balances() == accepted
    decisions.resolve(the_line(decisions, LineStatus.MISSING), "undo")
    assert poll(world.poll_dependencies(), "poll").applied == 1
    events = world.poll_dependencies().events.kept.events
    applied = events.get(kept.id, UNRESTRICTED)
    assert applied is not None
    assert applied.status is ProcessorEventStatus.APPLIED
    assert decisions.balances() == start
    decisions.resolve(the_line(decisions, LineStatus.MISSING), "ignore")
    assert decisions.balances() == start


@pytest.mark.parametrize("action", ACTIONS)
def test_a_missing_refund_that_has_come_back_is_ignored_and_not_accepted(
    platform: Platform, world: EventWorld, decisions: Decisions, action: str
) -> None:
    settle_capture(decisions)
    start = decisions.balances()
    refund = world.refund(400)
    missing = missing_line(platform, decisions)
    world.returned(refund)
    world.hear(EventKind.REFUND_FAILED, reference=refund.id)
    with pytest.raises(ActionNotApplicable, match="came back, which is booked: ignore the line"):
        decisions.resolve(missing, action)
    decisions.resolve(missing, "ignore")
    assert decisions.balances() == start


def dispute_line(world: EventWorld, number: int, identity: str) -> Line:
    return read_line(
        number,
        type=LineType.DISPUTE,
        amount=-600,
        fee=15,
        references=References(payment_id=world.payment_id, dispute_id="dp_1"),
        identity=identity,
        payout_reference="po_2",
    )


def missing_line(platform: Platform, decisions: Decisions) -> SettlementLine:
    platform.clock.advance(WEEK_AND_A_DAY)
    sweep_missing(dependencies_of_sweep(platform), "sweep")
    return the_line(decisions, LineStatus.MISSING)
