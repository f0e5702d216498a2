"""A notification is a hint: what is booked is what the processor says when it is asked.

On the runtime's own desks, with a processor whose notifications say whatever a test wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.contract.processor_events import EventResult
from runtime.domain.instants import to_datetime
from runtime.domain.processor_events import (
    DisputeState,
    EventKind,
    ProcessorEvent,
    RefundFate,
    RefundState,
    Unapplied,
)
from runtime.errors import BadSignature, InvalidState, ProcessorUnknown, Unavailable
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import DisputeStatus
from runtime.models.processor_event import KeptEvent, ProcessorEventStatus
from runtime.models.scope import Scope
from runtime.models.transaction import Transaction, TransactionStatus
from runtime.repositories.merchants import MerchantRepository
from runtime.services.event_poll import PollDesk, PollReport, poll
from runtime.services.kept_event_routes import apply_kept_event
from runtime.services.processor_events import Notification, receive_event
from tests.support.outside import new_id
from tests.support.world import World

OLD = timedelta(hours=2)


@dataclass
class Teller:
    """The sandbox, but that a test says what its notifications are and what it knows of disputes.

    `disputes` and `refunds` are its truth; None stands for a processor that cannot be reached.
    """

    inner: Any
    event: ProcessorEvent | None = None
    disputes: dict[str, DisputeState] | None = field(default_factory=dict)
    refunds: dict[str, RefundState] | None = field(default_factory=dict)
    before_answer: Callable[[], None] = lambda: None
    after_operation: Callable[[], None] = lambda: None
    asked: int = 0

    def read_event(self, *_: Any) -> ProcessorEvent:
        assert self.event is not None
        return self.event

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        self.asked += 1
        if self.disputes is None:
            raise ProcessorUnknown("nothing was heard")
        state = self.disputes.get(dispute_id)
        self.before_answer()
        return state

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        self.asked += 1
        if self.refunds is None:
            raise ProcessorUnknown("nothing was heard")
        return self.refunds.get(reference)

    def operate(self, request: Any) -> Any:
        answer = self.inner.operate(request)
        self.after_operation()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Town:
    """A shop with a paid payment, and its processor."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shop: MerchantProfile = world.merchant(processor_config={"webhook_secret": "x" * 16})
        self.processor = Teller(world.sandbox())
        self.desk = world.desk(processor=self.processor)  # type: ignore[arg-type]
        self.payment_id = world.paid(self.shop, amount=1000, desk=self.desk)

    def refund(self, amount: int = 400) -> Transaction:
        answer = self.world.operate(
            self.shop, self.payment_id, "refund", amount=amount, desk=self.desk
        )
        assert answer.status == 200, answer
        return self.refunds()[-1]

    def refunds(self) -> list[Transaction]:
        return [each for each in self.world.rows(Transaction) if each.type == "refund"]

    def hear(self, kind: EventKind, event_id: str = "evt_1", **about: Any) -> EventResult:
        """The processor sends a notification."""
        at = about.pop("at", self.world.clock())
        self.processor.event = ProcessorEvent(event_id, kind, at, **about)
        heard = Notification("sandbox", self.shop.id, {}, b"", self.world.clock(), "req", "", "")
        return receive_event(heard, self.world.event_desk(self.desk)).result

    def hear_of_dispute(self, event_id: str = "evt_1", **about: Any) -> EventResult:
        about = {"reference": self.payment_id, "object_id": "dp_1", **about}
        return self.hear(EventKind.DISPUTE_CHANGED, event_id, **about)

    def dispute(self, status: DisputeStatus = DisputeStatus.OPENED, **more: Any) -> DisputeState:
        """What the processor has of a dispute of 600 from now on."""
        state = DisputeState(
            id="dp_1",
            status=status,
            created_at=datetime(2026, 3, 1, tzinfo=UTC),
            currency="USD",
            amount_minor=600,
            withdrawn_minor=600,
            fee_minor=15,
            reference=self.payment_id,
        )
        state = replace(state, **more)
        assert self.processor.disputes is not None
        self.processor.disputes[state.id] = state
        return state

    def returned(self, refund: Transaction, **more: Any) -> None:
        """From now on the processor says that the refund failed, unless `more` says otherwise."""
        state = RefundState(
            "re_1", RefundFate.FAILED, self.world.clock(), refund.amount, refund.currency
        )
        assert self.processor.refunds is not None
        self.processor.refunds[refund.id] = replace(state, **more)

    def poll_desk(self) -> PollDesk:
        """What the daily poll works with; the tables end with a round by default."""
        events = self.world.event_desk(self.desk)
        merchants = MerchantRepository(self.world.store)
        return PollDesk(events, merchants, timedelta(days=3), lambda: False)

    def processor_names(self) -> tuple[str, ...]:
        """At all of which `processor` is asked for the shop's news, or for another merchant's."""
        kept = (self.desk.connectors.kept(self.shop.id, p) for p in ("sandbox", "stripe"))
        return tuple(str(account) for each in kept for account in each)

    def receivable(self) -> int:
        return self.world.balances()[f"acc_receivable_{self.shop.id}_USD"]


@pytest.fixture
def town(world: World) -> Town:
    return Town(world)


# ------------------------------------------------------------------ refunds


@pytest.mark.parametrize("fate", [None, RefundFate.SUCCEEDED, RefundFate.PENDING])
def test_a_forged_failure_of_a_refund_moves_nothing_unless_the_processor_says_so_too(
    town: Town, fate: RefundFate | None
) -> None:
    refund = town.refund()
    before = town.receivable()
    if fate is not None:
        town.returned(refund, fate=fate)
    result = town.hear(EventKind.REFUND_FAILED, reference=refund.id)
    assert result is (EventResult.IGNORED if fate is None else EventResult.UNCHANGED)
    assert town.processor.asked == 1
    assert town.receivable() == before
    assert town.refunds() == [refund]


def test_a_refund_that_the_processor_says_has_failed_is_taken_back_once(town: Town) -> None:
    refund = town.refund()
    before = town.receivable()
    town.returned(refund)
    assert town.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    again = town.hear(EventKind.REFUND_FAILED, "evt_2", reference=refund.id)
    assert again is EventResult.UNCHANGED
    assert town.receivable() == before + 400
    assert town.world.payment().refundable_minor == 1000


def test_a_settled_refund_that_fails_later_is_taken_back_as_well(town: Town) -> None:
    refund = town.refund()
    settled = refund.model_copy(update={"status": TransactionStatus.SETTLED, "version": 3})
    town.world.put(settled)
    before = town.receivable()
    town.returned(refund)
    assert town.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert town.receivable() == before + 400


@pytest.mark.parametrize("reads", [1, 3, 1_000])
def test_a_refund_that_is_seen_before_its_payment_is_taken_back_or_its_failure_comes_again(
    town: Town, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    """A plain read may see one row of a commit while the other is still as it was before."""
    payments = town.desk.payments
    unrefunded = payments.get(town.payment_id, Scope(town.shop.id))
    refund, newest = town.refund(), payments.get
    town.returned(refund)
    before, stale = town.receivable(), iter(range(reads))
    monkeypatch.setattr(
        type(payments),
        "get",
        lambda _, *asked: newest(*asked) if next(stale, None) is None else unrefunded,
    )
    if reads == 1_000:
        with pytest.raises(Unavailable):
            town.hear(EventKind.REFUND_FAILED, reference=refund.id)
        monkeypatch.undo()
        assert town.receivable() == before
    assert town.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert town.receivable() == before + 400


def test_while_the_processor_cannot_be_reached_nothing_is_booked_and_nothing_claimed(
    town: Town,
) -> None:
    refund = town.refund()
    town.processor.refunds = town.processor.disputes = None
    claims = town.world.claims()
    for kind, about in (
        (EventKind.REFUND_FAILED, {"reference": refund.id}),
        (EventKind.DISPUTE_CHANGED, {"reference": town.payment_id, "object_id": "dp_1"}),
    ):
        with pytest.raises(Unavailable) as refused:
            town.hear(kind, **about)
        assert refused.value.retry_after_seconds >= 1
    assert town.world.claims() == claims
    assert town.world.payment().disputes is None


def test_a_failure_that_meets_the_lease_of_its_own_refund_waits_and_comes_again(
    town: Town,
) -> None:
    """The processor answers "succeeded" and says "failed" before the answer is written down."""
    met: list[Exception] = []

    def hear_at_once() -> None:
        (pending,) = town.refunds()
        try:
            town.hear(EventKind.REFUND_FAILED, reference=pending.id)
        except Unavailable as wait:
            met.append(wait)

    town.processor.after_operation = hear_at_once
    refund = town.refund()
    assert len(met) == 1
    assert not [claim for claim in town.world.claims() if "EVENT" in claim.key]
    assert refund.status is TransactionStatus.SUCCEEDED
    before = town.receivable()
    town.returned(refund)
    assert town.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert town.receivable() == before + 400
    assert town.refunds()[0].status is TransactionStatus.FAILED


def test_a_failure_that_meets_a_refund_whose_request_died_has_it_finished(town: Town) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    town.processor.after_operation = die
    with pytest.raises(RuntimeError):
        town.refund()
    (pending,) = town.refunds()
    town.world.clock.advance(3600)
    town.returned(pending)
    assert town.hear(EventKind.REFUND_FAILED, reference=pending.id) is EventResult.APPLIED
    payment = town.world.payment()
    assert (payment.amount_refunded, payment.pending_refund_minor) == (0, 0)


def test_a_refund_of_another_amount_than_ours_is_kept_and_not_taken_back(town: Town) -> None:
    refund = town.refund()
    before = town.receivable()
    town.returned(refund, amount_minor=399)
    assert town.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.KEPT
    assert town.receivable() == before
    (kept,) = town.world.rows(KeptEvent)
    assert (kept.reason, kept.payment_id) == (Unapplied.AMOUNT_MISMATCH, town.payment_id)


def test_a_failed_refund_that_says_it_is_ours_and_is_unknown_for_an_hour_is_kept(
    town: Town,
) -> None:
    unknown = new_id("txn", town.world.clock())
    old = town.world.clock() - OLD
    about: dict[str, Any] = {"reference": unknown, "object_id": "re_9", "at": old}
    assert town.hear(EventKind.REFUND_FAILED, **about) is EventResult.IGNORED
    assert town.processor.refunds is not None
    state = RefundState("re_9", RefundFate.FAILED, old, 5, "USD", new_id("txn", old))
    town.processor.refunds[unknown] = state
    assert town.hear(EventKind.REFUND_FAILED, **about) is EventResult.IGNORED
    assert town.world.rows(KeptEvent) == []
    town.processor.refunds[unknown] = replace(state, reference=unknown)
    with pytest.raises(Unavailable):
        town.hear(EventKind.REFUND_FAILED, **{**about, "at": town.world.clock()})
    assert town.hear(EventKind.REFUND_FAILED, **about) is EventResult.KEPT
    (kept,) = town.world.rows(KeptEvent)
    assert (kept.reason, kept.reference) == (Unapplied.UNKNOWN_REFUND, unknown)


# ----------------------------------------------------------------- disputes


def test_a_dispute_that_the_processor_does_not_have_books_nothing(town: Town) -> None:
    before = town.world.balances()
    assert town.hear_of_dispute() is EventResult.IGNORED
    assert town.world.balances() == before
    assert town.world.payment().disputes is None


def test_the_payment_is_the_one_that_the_processor_names_not_the_notification(town: Town) -> None:
    other = town.world.paid(town.shop, amount=2000, desk=town.desk)
    town.dispute()
    assert town.hear_of_dispute(reference=other) is EventResult.APPLIED
    disputed = {each.id: each.dispute_status for each in town.world.payments()}
    assert disputed == {town.payment_id: DisputeStatus.OPENED, other: None}


def test_one_processor_disputes_no_payment_of_another(town: Town) -> None:
    payment = town.world.payment()
    town.world.put(payment.model_copy(update={"processor": "stripe"}))
    before = town.receivable()
    town.dispute()
    old = town.world.clock() - OLD
    assert town.hear_of_dispute(at=old) is EventResult.KEPT
    assert town.receivable() == before


def test_a_dispute_that_names_a_payment_and_another_charge_is_kept(town: Town) -> None:
    """Our reference stands in metadata, which whoever owns the processor account can edit."""
    before = town.receivable()
    town.dispute(charge_id="pi_of_something_else")
    assert town.hear_of_dispute() is EventResult.KEPT
    (kept,) = town.world.rows(KeptEvent)
    assert kept.reason == Unapplied.CHARGE_MISMATCH
    assert town.receivable() == before


def test_amounts_and_status_are_the_processors_however_often_it_is_told_of(town: Town) -> None:
    before = town.receivable()
    town.dispute()
    assert town.hear_of_dispute() is EventResult.APPLIED
    assert town.receivable() == before - 615
    town.dispute(DisputeStatus.LOST)
    assert town.hear_of_dispute("evt_2") is EventResult.APPLIED
    town.dispute(DisputeStatus.WON, reinstated_minor=580, fee_minor=0)
    assert town.hear_of_dispute("evt_3") is EventResult.APPLIED
    assert town.hear_of_dispute("evt_4") is EventResult.UNCHANGED
    assert town.receivable() == before - 20
    assert town.world.payment().dispute_status is DisputeStatus.WON


def test_who_is_overtaken_asks_the_processor_again(town: Town) -> None:
    """One has read "opened" and is slow; another books "won". The slow one must not undo that."""
    before = town.receivable()
    town.dispute()
    overtaken: list[EventResult] = []

    def overtake() -> None:
        town.processor.before_answer = lambda: None
        slow = town.processor.event
        town.dispute(DisputeStatus.WON, reinstated_minor=600)
        overtaken.append(town.hear_of_dispute("evt_fast"))
        town.processor.event = slow

    town.processor.before_answer = overtake
    town.hear_of_dispute("evt_slow")
    assert overtaken == [EventResult.APPLIED]
    assert town.world.payment().dispute_status is DisputeStatus.WON
    assert town.receivable() == before - 15


def test_a_dispute_that_comes_before_the_charge_is_written_down_comes_again(town: Town) -> None:
    world = town.world

    def hear_at_once() -> None:
        (begun,) = [each for each in world.payments() if each.id != town.payment_id]
        town.dispute(reference=begun.id)
        with pytest.raises(Unavailable):
            town.hear_of_dispute(reference=begun.id)

    charge = town.processor.inner.charge

    class Early:
        def __getattr__(self, name: str) -> Any:
            return getattr(charge.__self__, name)

        def charge(self, request: Any) -> Any:
            answer = charge(request)
            hear_at_once()
            return answer

    town.processor.inner = Early()
    paid = world.paid(town.shop, amount=1000, desk=town.desk)
    assert not [claim for claim in world.claims() if "EVENT" in claim.key]
    assert town.hear_of_dispute(reference=paid) is EventResult.APPLIED


def test_one_dispute_more_than_a_payment_takes_is_kept_and_applied_when_it_may(
    town: Town,
) -> None:
    few = replace(town.desk, timing=town.world.timing.model_copy(update={"max_disputes": 10}))
    more, town.desk = town.desk, few
    for n in range(11):
        town.dispute(id=f"dp_{n}", withdrawn_minor=10, fee_minor=0)
        result = town.hear_of_dispute(f"evt_{n}", object_id=f"dp_{n}")
        assert result is (EventResult.APPLIED if n < 10 else EventResult.KEPT)
    before = town.receivable()
    (kept,) = town.world.rows(KeptEvent)
    assert kept.reason == Unapplied.TOO_MANY_DISPUTES
    call = town.world.call(None, {}, "a key", path="/apply", operator=True)
    with pytest.raises(InvalidState, match="is another one"):
        apply_kept_event(kept.id, call, town.world.event_desk(few))
    answers = [apply_kept_event(kept.id, call, town.world.event_desk(more)) for _ in range(2)]
    assert [answer.replayed for answer in answers] == [False, True]
    assert answers[0].body == answers[1].body
    assert town.receivable() == before - 10
    (kept,) = town.world.rows(KeptEvent)
    assert kept.status is ProcessorEventStatus.APPLIED


def test_a_payment_that_becomes_known_after_an_hour_gets_its_dispute_from_the_poll(
    town: Town,
) -> None:
    unknown = new_id("pay", town.world.clock())
    town.dispute(reference=unknown)
    old = town.world.clock() - OLD
    assert town.hear_of_dispute(reference=unknown, at=old) is EventResult.KEPT
    payment = town.world.payment()
    town.world.put(payment.model_copy(update={"id": unknown}))
    report = poll(town.poll_desk(), "poll-1")
    assert (report.finished, report.applied, report.failed) == (True, 1, 0)
    disputed = {each.id: each.dispute_status for each in town.world.payments()}
    assert disputed[unknown] is DisputeStatus.OPENED


def test_a_processor_that_does_not_answer_the_poll_keeps_no_other_merchant_waiting(
    town: Town,
) -> None:
    town.world.merchant()
    asked: list[datetime] = []

    def recent_events(since: datetime) -> Iterator[ProcessorEvent]:
        asked.append(since)
        raise ProcessorUnknown("nothing was heard")

    town.processor.recent_events = recent_events  # type: ignore[attr-defined]
    report = poll(town.poll_desk(), "poll-1")
    assert (report.finished, report.merchants, report.failed) == (True, 2, len(asked))
    assert {each.date() for each in asked} == {(town.world.clock() - timedelta(days=3)).date()}


def test_a_poll_that_runs_out_of_time_goes_on_where_it_was_and_the_next_round_overlaps(
    town: Town,
) -> None:
    def days_back(report: PollReport) -> int:
        return (town.world.clock() - to_datetime(report.since)).days

    stopped = poll(replace(town.poll_desk(), must_stop=lambda: True), "poll-1")
    assert (stopped.finished, days_back(stopped)) == (False, 3)
    town.world.clock.advance(5 * 86_400)
    resumed = poll(town.poll_desk(), "poll-2")
    assert (resumed.finished, days_back(resumed)) == (True, 8), "the same round"
    town.world.clock.advance(86_400)
    assert days_back(poll(town.poll_desk(), "poll-3")) == 6, "back to the last one's begin"
    town.world.clock.advance(86_400)
    assert days_back(poll(town.poll_desk(), "poll-4")) == 3


def test_a_merchant_with_endless_news_does_not_keep_the_poll_from_all_others(town: Town) -> None:
    heard: list[str] = []

    def recent_events(_: datetime) -> Iterator[ProcessorEvent]:
        for n in range(1_000):
            heard.append(f"evt_{n}")
            yield ProcessorEvent(heard[-1], EventKind.OPERATION_CHANGED, town.world.clock())

    town.processor.recent_events = recent_events  # type: ignore[attr-defined]
    short = replace(town.poll_desk(), must_stop=lambda: len(heard) >= 3)
    stopped = poll(short, "poll-1")
    assert (len(heard), stopped.failed) == (3, 1)
    heard.clear()
    town.processor.recent_events = lambda _: iter(())  # type: ignore[attr-defined]
    assert poll(town.poll_desk(), "poll-2").failed == 0


def test_a_page_of_merchants_that_the_time_did_not_suffice_for_comes_first_in_the_next_run(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.services.event_poll.MERCHANTS_PER_PAGE", 1)
    town.world.merchant()
    asked: list[datetime] = []

    def recent_events(since: datetime) -> Iterator[ProcessorEvent]:
        asked.append(since)
        yield ProcessorEvent("evt_1", EventKind.OPERATION_CHANGED, town.world.clock())

    town.processor.recent_events = recent_events  # type: ignore[attr-defined]
    per_merchant = len(town.processor_names())
    over = replace(town.poll_desk(), must_stop=lambda: len(asked) > per_merchant)
    assert poll(over, "poll-1").finished is False
    asked.clear()
    rest = poll(town.poll_desk(), "poll-2")
    assert (rest.finished, rest.merchants, len(asked)) == (True, 1, per_merchant)


def test_on_a_live_stage_nothing_counts_that_the_sandbox_is_told(town: Town) -> None:
    timing = town.desk.timing.model_copy(update={"processors": "live"})
    before = town.receivable()
    town.desk = replace(town.desk, timing=timing)
    town.dispute(DisputeStatus.WON, withdrawn_minor=0, reinstated_minor=1_000_000)
    with pytest.raises(BadSignature):
        town.hear_of_dispute()
    told = ProcessorEvent(
        "evt_2", EventKind.DISPUTE_CHANGED, town.world.clock(), None, town.payment_id, "dp_1"
    )
    town.processor.recent_events = lambda _: iter((told,))  # type: ignore[attr-defined]
    assert poll(town.poll_desk(), "poll-1").applied == 0
    assert town.receivable() == before
