"""A notification is a hint: what is booked is the state that the processor reports when queried.

The tests use the runtime's own dependencies, and a processor with arbitrary notifications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.core.errors import BadSignature, InvalidState, ProcessorUnknown, Unavailable
from runtime.core.scope import UNRESTRICTED, Scope
from runtime.core.timestamps import to_datetime
from runtime.merchants.models import MerchantProfile
from runtime.merchants.repository import MerchantRepository
from runtime.payments.disputes.api import EventResult
from runtime.payments.disputes.kept_event_routes import apply_kept_event
from runtime.payments.disputes.models import KeptEvent, ProcessorEventStatus
from runtime.payments.disputes.poll import PollDependencies, PollReport, poll
from runtime.payments.disputes.processor_webhooks import Notification, receive_event
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.connectors import Connectors
from runtime.payments.processors.events import (
    DisputeState,
    EventKind,
    ProcessorEvent,
    RefundOutcome,
    RefundState,
    Unapplied,
)
from runtime.payments.processors.port import Processor
from runtime.payments.repository import PaymentRepository
from runtime.payments.transaction_models import Transaction, TransactionStatus
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.outside import new_id
from tests.support.platform import Platform

OLD = timedelta(hours=2)


@dataclass
class Teller:
    """The sandbox with notifications, disputes and refunds set by a test.

    `disputes` and `refunds` are its actual state; None stands for a processor that is unreachable.
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
            raise ProcessorUnknown("no response")
        state = self.disputes.get(dispute_id)
        self.before_answer()
        return state

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        self.asked += 1
        if self.refunds is None:
            raise ProcessorUnknown("no response")
        return self.refunds.get(reference)

    def operate(self, request: Any) -> Any:
        answer = self.inner.operate(request)
        self.after_operation()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class EventWorld:
    """A shop with a paid payment, and its processor."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.shop: MerchantProfile = platform.merchant(
            processor_config={"webhook_secret": "x" * 16}
        )
        self.processor = Teller(platform.sandbox())
        self.deps = platform.deps(processor=self.processor)  # type: ignore[arg-type]
        self.payment_id = platform.paid(self.shop, amount=1000, deps=self.deps)

    def refund(self, amount: int = 400) -> Transaction:
        answer = self.platform.operate(
            self.shop, self.payment_id, "refund", amount=amount, deps=self.deps
        )
        assert answer.status == 200, answer
        return self.refunds()[-1]

    def refunds(self) -> list[Transaction]:
        return [each for each in self.platform.rows(Transaction) if each.type == "refund"]

    def hear(self, kind: EventKind, event_id: str = "evt_1", **about: Any) -> EventResult:
        """The processor sends a notification."""
        at = about.pop("at", self.platform.clock())
        self.processor.event = ProcessorEvent(event_id, kind, at, **about)
        heard = Notification("sandbox", self.shop.id, {}, b"", self.platform.clock(), "req", "", "")
        return receive_event(heard, self.platform.event_dependencies(self.deps)).result

    def hear_of_dispute(self, event_id: str = "evt_1", **about: Any) -> EventResult:
        about = {"reference": self.payment_id, "object_id": "dp_1", **about}
        return self.hear(EventKind.DISPUTE_CHANGED, event_id, **about)

    def dispute(self, status: DisputeStatus = DisputeStatus.OPENED, **more: Any) -> DisputeState:
        """Sets the processor's state of a dispute of 600."""
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
        """Sets the processor's state of the refund to failed, unless `more` changes it."""
        state = RefundState(
            "re_1", RefundOutcome.FAILED, self.platform.clock(), refund.amount, refund.currency
        )
        assert self.processor.refunds is not None
        self.processor.refunds[refund.id] = replace(state, **more)

    def poll_dependencies(self) -> PollDependencies:
        """Dependencies of the daily poll; by default a round ends with the tables."""
        events = self.platform.event_dependencies(self.deps)
        merchants = MerchantRepository(self.platform.store)
        return PollDependencies(events, merchants, timedelta(days=3), lambda: False)

    def processor_names(self) -> tuple[str, ...]:
        """Times at which `processor` was polled for events of the shop or another merchant."""
        kept = (self.deps.connectors.kept(self.shop.id, p) for p in ("sandbox", "stripe"))
        return tuple(str(account) for each in kept for account in each)

    def receivable(self) -> int:
        return self.platform.balances()[f"acc_receivable_{self.shop.id}_USD"]


@pytest.fixture
def simulation(platform: Platform) -> EventWorld:
    return EventWorld(platform)


# ------------------------------------------------------------------ refunds


@pytest.mark.parametrize("outcome", [None, RefundOutcome.SUCCEEDED, RefundOutcome.PENDING])
def test_a_forged_failure_of_a_refund_has_no_effect_unless_the_processor_confirms_it(
    simulation: EventWorld, outcome: RefundOutcome | None
) -> None:
    refund = simulation.refund()
    before = simulation.receivable()
    if outcome is not None:
        simulation.returned(refund, outcome=outcome)
    result = simulation.hear(EventKind.REFUND_FAILED, reference=refund.id)
    assert result is (EventResult.IGNORED if outcome is None else EventResult.UNCHANGED)
    assert simulation.processor.asked == 1
    assert simulation.receivable() == before
    assert simulation.refunds() == [refund]


def test_a_refund_that_the_processor_reports_as_failed_is_reversed_once(
    simulation: EventWorld,
) -> None:
    refund = simulation.refund()
    before = simulation.receivable()
    simulation.returned(refund)
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    again = simulation.hear(EventKind.REFUND_FAILED, "evt_2", reference=refund.id)
    assert again is EventResult.UNCHANGED
    assert simulation.receivable() == before + 400
    assert simulation.platform.payment().refundable_minor == 1000


def test_a_settled_refund_that_fails_later_is_reversed_too(simulation: EventWorld) -> None:
    refund = simulation.refund()
    settled = refund.model_copy(update={"status": TransactionStatus.SETTLED, "version": 3})
    simulation.platform.put(settled)
    before = simulation.receivable()
    simulation.returned(refund)
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert simulation.receivable() == before + 400


@pytest.mark.parametrize("reads", [1, 3, 1_000])
def test_a_refund_read_before_its_payment_is_reversed_or_its_failure_is_retried(
    simulation: EventWorld, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    """A plain read may return one row of a commit while another row still has its old values."""
    payments = simulation.deps.payments
    unrefunded = payments.get(simulation.payment_id, Scope(simulation.shop.id))
    refund, newest = simulation.refund(), payments.get
    simulation.returned(refund)
    before, stale = simulation.receivable(), iter(range(reads))
    monkeypatch.setattr(
        type(payments),
        "get",
        lambda _, *asked: newest(*asked) if next(stale, None) is None else unrefunded,
    )
    if reads == 1_000:
        with pytest.raises(Unavailable):
            simulation.hear(EventKind.REFUND_FAILED, reference=refund.id)
        monkeypatch.undo()
        assert simulation.receivable() == before
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert simulation.receivable() == before + 400


def test_nothing_is_booked_or_claimed_while_the_processor_is_unreachable(
    simulation: EventWorld,
) -> None:
    refund = simulation.refund()
    simulation.processor.refunds = simulation.processor.disputes = None
    claims = simulation.platform.claims()
    for kind, about in (
        (EventKind.REFUND_FAILED, {"reference": refund.id}),
        (EventKind.DISPUTE_CHANGED, {"reference": simulation.payment_id, "object_id": "dp_1"}),
    ):
        with pytest.raises(Unavailable) as refused:
            simulation.hear(kind, **about)
        assert refused.value.retry_after_seconds >= 1
    assert simulation.platform.claims() == claims
    assert simulation.platform.payment().disputes is None


def test_a_failure_during_the_lease_of_its_own_refund_waits_and_is_retried(
    simulation: EventWorld,
) -> None:
    """The processor answers "succeeded" and reports "failed" before the answer is stored."""
    met: list[Exception] = []

    def hear_at_once() -> None:
        (pending,) = simulation.refunds()
        try:
            simulation.hear(EventKind.REFUND_FAILED, reference=pending.id)
        except Unavailable as wait:
            met.append(wait)

    simulation.processor.after_operation = hear_at_once
    refund = simulation.refund()
    assert len(met) == 1
    assert not [claim for claim in simulation.platform.claims() if "EVENT" in claim.key]
    assert refund.status is TransactionStatus.SUCCEEDED
    before = simulation.receivable()
    simulation.returned(refund)
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert simulation.receivable() == before + 400
    assert simulation.refunds()[0].status is TransactionStatus.FAILED


def test_a_failure_finishes_a_refund_whose_request_died(simulation: EventWorld) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    simulation.processor.after_operation = die
    with pytest.raises(RuntimeError):
        simulation.refund()
    (pending,) = simulation.refunds()
    simulation.platform.clock.advance(3600)
    simulation.returned(pending)
    assert simulation.hear(EventKind.REFUND_FAILED, reference=pending.id) is EventResult.APPLIED
    payment = simulation.platform.payment()
    assert (payment.amount_refunded, payment.pending_refund_minor) == (0, 0)


def test_a_refund_that_fails_during_another_refund_is_reversed_once(
    simulation: EventWorld,
) -> None:
    """The payment changes between the read and the commit of the reversal."""
    platform, refund = simulation.platform, simulation.refund()
    simulation.returned(refund)
    before, calm = simulation.receivable(), simulation.deps
    meanwhile = iter([100])

    def other_refund(operation: str, _call: int) -> Fault | None:
        amount = next(meanwhile, None) if operation == COMMIT else None
        if amount is not None:
            platform.operate(simulation.shop, simulation.payment_id, "refund", amount=amount)
        return None

    faults = Faults(other_refund)
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    simulation.deps = replace(calm, payments=PaymentRepository(store))
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.APPLIED
    assert faults.calls[COMMIT] == 2, "the first commit was refused"
    payment = platform.payment()
    assert (payment.amount_refunded, payment.refundable_minor) == (100, 900)
    assert simulation.receivable() == before + 400 - 100


def test_a_refund_with_a_different_amount_is_kept_and_not_reversed(
    simulation: EventWorld,
) -> None:
    refund = simulation.refund()
    before = simulation.receivable()
    simulation.returned(refund, amount_minor=399)
    assert simulation.hear(EventKind.REFUND_FAILED, reference=refund.id) is EventResult.KEPT
    assert simulation.receivable() == before
    (kept,) = simulation.platform.rows(KeptEvent)
    assert (kept.reason, kept.payment_id) == (Unapplied.AMOUNT_MISMATCH, simulation.payment_id)


def test_a_failed_refund_with_our_reference_that_stays_unknown_for_an_hour_is_kept(
    simulation: EventWorld,
) -> None:
    unknown = new_id("txn", simulation.platform.clock())
    old = simulation.platform.clock() - OLD
    about: dict[str, Any] = {"reference": unknown, "object_id": "re_9", "at": old}
    assert simulation.hear(EventKind.REFUND_FAILED, **about) is EventResult.IGNORED
    assert simulation.processor.refunds is not None
    state = RefundState("re_9", RefundOutcome.FAILED, old, 5, "USD", new_id("txn", old))
    simulation.processor.refunds[unknown] = state
    assert simulation.hear(EventKind.REFUND_FAILED, **about) is EventResult.IGNORED
    assert simulation.platform.rows(KeptEvent) == []
    simulation.processor.refunds[unknown] = replace(state, reference=unknown)
    with pytest.raises(Unavailable):
        simulation.hear(EventKind.REFUND_FAILED, **{**about, "at": simulation.platform.clock()})
    assert simulation.hear(EventKind.REFUND_FAILED, **about) is EventResult.KEPT
    (kept,) = simulation.platform.rows(KeptEvent)
    assert (kept.reason, kept.reference) == (Unapplied.UNKNOWN_REFUND, unknown)


# ----------------------------------------------------------------- disputes


def test_a_dispute_unknown_to_the_processor_books_nothing(simulation: EventWorld) -> None:
    before = simulation.platform.balances()
    assert simulation.hear_of_dispute() is EventResult.IGNORED
    assert simulation.platform.balances() == before
    assert simulation.platform.payment().disputes is None


def test_the_payment_is_identified_by_the_processor_not_by_the_notification(
    simulation: EventWorld,
) -> None:
    other = simulation.platform.paid(simulation.shop, amount=2000, deps=simulation.deps)
    simulation.dispute()
    assert simulation.hear_of_dispute(reference=other) is EventResult.APPLIED
    disputed = {each.id: each.dispute_status for each in simulation.platform.payments()}
    assert disputed == {simulation.payment_id: DisputeStatus.OPENED, other: None}


def test_a_processor_cannot_dispute_another_processors_payment(simulation: EventWorld) -> None:
    payment = simulation.platform.payment()
    simulation.platform.put(payment.model_copy(update={"processor": "stripe"}))
    before = simulation.receivable()
    simulation.dispute()
    old = simulation.platform.clock() - OLD
    assert simulation.hear_of_dispute(at=old) is EventResult.KEPT
    assert simulation.receivable() == before


@pytest.mark.parametrize("known", [False, True])
def test_a_dispute_of_a_payment_of_a_removed_account_asks_the_account_that_sent_it(
    simulation: EventWorld, known: bool
) -> None:
    platform, before = simulation.platform, simulation.receivable()

    def factory(_merchant_id: str, config: Callable[[], object]) -> Processor:
        config()
        return simulation.processor  # type: ignore[return-value]

    merchants = MerchantRepository(platform.store)
    connectors = Connectors(merchants, {"sandbox": factory}, platform.profiles(), platform.outside)
    simulation.deps = replace(simulation.deps, connectors=connectors)
    platform.put(platform.payment().model_copy(update={"processor_account": "acct_gone"}))
    if known:
        simulation.dispute()
    result = simulation.hear_of_dispute()
    assert result is (EventResult.APPLIED if known else EventResult.IGNORED)
    assert simulation.processor.asked == 1
    assert simulation.receivable() == before - (615 if known else 0)


def test_a_dispute_whose_reference_and_charge_differ_is_kept(simulation: EventWorld) -> None:
    """Our reference is in metadata, which the owner of the processor account can edit."""
    before = simulation.receivable()
    simulation.dispute(charge_id="pi_of_something_else")
    assert simulation.hear_of_dispute() is EventResult.KEPT
    (kept,) = simulation.platform.rows(KeptEvent)
    assert kept.reason == Unapplied.CHARGE_MISMATCH
    assert simulation.receivable() == before


def test_amount_and_status_are_the_processors_however_often_it_notifies(
    simulation: EventWorld,
) -> None:
    before = simulation.receivable()
    simulation.dispute()
    assert simulation.hear_of_dispute() is EventResult.APPLIED
    assert simulation.receivable() == before - 615
    simulation.dispute(DisputeStatus.LOST)
    assert simulation.hear_of_dispute("evt_2") is EventResult.APPLIED
    simulation.dispute(DisputeStatus.WON, reinstated_minor=580, fee_minor=0)
    assert simulation.hear_of_dispute("evt_3") is EventResult.APPLIED
    assert simulation.hear_of_dispute("evt_4") is EventResult.UNCHANGED
    assert simulation.receivable() == before - 20
    assert simulation.platform.payment().dispute_status is DisputeStatus.WON


def test_after_a_concurrent_write_the_processor_is_queried_again(simulation: EventWorld) -> None:
    """One request has read "opened" and is slow; another books "won", which must remain."""
    before = simulation.receivable()
    simulation.dispute()
    overtaken: list[EventResult] = []

    def overtake() -> None:
        simulation.processor.before_answer = lambda: None
        slow = simulation.processor.event
        simulation.dispute(DisputeStatus.WON, reinstated_minor=600)
        overtaken.append(simulation.hear_of_dispute("evt_fast"))
        simulation.processor.event = slow

    simulation.processor.before_answer = overtake
    simulation.hear_of_dispute("evt_slow")
    assert overtaken == [EventResult.APPLIED]
    assert simulation.platform.payment().dispute_status is DisputeStatus.WON
    assert simulation.receivable() == before - 15


def test_a_dispute_that_arrives_before_the_charge_is_stored_is_retried(
    simulation: EventWorld,
) -> None:
    platform = simulation.platform

    def hear_at_once() -> None:
        (begun,) = [each for each in platform.payments() if each.id != simulation.payment_id]
        simulation.dispute(reference=begun.id)
        with pytest.raises(Unavailable):
            simulation.hear_of_dispute(reference=begun.id)

    charge = simulation.processor.inner.charge

    class Early:
        def __getattr__(self, name: str) -> Any:
            return getattr(charge.__self__, name)

        def charge(self, request: Any) -> Any:
            answer = charge(request)
            hear_at_once()
            return answer

    simulation.processor.inner = Early()
    paid = platform.paid(simulation.shop, amount=1000, deps=simulation.deps)
    assert not [claim for claim in platform.claims() if "EVENT" in claim.key]
    assert simulation.hear_of_dispute(reference=paid) is EventResult.APPLIED


def test_a_dispute_beyond_the_limit_per_payment_is_kept_and_applied_when_allowed(
    simulation: EventWorld,
) -> None:
    few = replace(
        simulation.deps, timing=simulation.platform.timing.model_copy(update={"max_disputes": 10})
    )
    more, simulation.deps = simulation.deps, few
    for n in range(11):
        simulation.dispute(id=f"dp_{n}", withdrawn_minor=10, fee_minor=0)
        result = simulation.hear_of_dispute(f"evt_{n}", object_id=f"dp_{n}")
        assert result is (EventResult.APPLIED if n < 10 else EventResult.KEPT)
    before = simulation.receivable()
    (kept,) = simulation.platform.rows(KeptEvent)
    assert kept.reason == Unapplied.TOO_MANY_DISPUTES
    call = simulation.platform.call(None, {}, "a key", path="/apply", operator=True)
    with pytest.raises(InvalidState, match="is another one"):
        apply_kept_event(kept.id, call, simulation.platform.event_dependencies(few))
    answers = [
        apply_kept_event(kept.id, call, simulation.platform.event_dependencies(more))
        for _ in range(2)
    ]
    assert [answer.replayed for answer in answers] == [False, True]
    assert answers[0].body == answers[1].body
    assert simulation.receivable() == before - 10
    (kept,) = simulation.platform.rows(KeptEvent)
    assert kept.status is ProcessorEventStatus.APPLIED


def test_a_payment_that_becomes_known_after_an_hour_gets_its_dispute_from_the_poll(
    simulation: EventWorld,
) -> None:
    unknown = new_id("pay", simulation.platform.clock())
    simulation.dispute(reference=unknown)
    old = simulation.platform.clock() - OLD
    assert simulation.hear_of_dispute(reference=unknown, at=old) is EventResult.KEPT
    payment = simulation.platform.payment()
    simulation.platform.put(payment.model_copy(update={"id": unknown}))
    report = poll(simulation.poll_dependencies(), "poll-1")
    assert (report.finished, report.applied, report.failed) == (True, 1, 0)
    disputed = {each.id: each.dispute_status for each in simulation.platform.payments()}
    assert disputed[unknown] is DisputeStatus.OPENED


def test_a_processor_that_does_not_answer_the_poll_delays_no_other_merchant(
    simulation: EventWorld,
) -> None:
    simulation.platform.merchant()
    asked: list[datetime] = []

    def recent_events(since: datetime) -> Iterator[ProcessorEvent]:
        asked.append(since)
        raise ProcessorUnknown("no response")

    simulation.processor.recent_events = recent_events  # type: ignore[attr-defined]
    report = poll(simulation.poll_dependencies(), "poll-1")
    assert (report.finished, report.merchants, report.failed) == (True, 2, len(asked))
    assert {each.date() for each in asked} == {
        (simulation.platform.clock() - timedelta(days=3)).date()
    }


def polling_errors(simulation: EventWorld, *errors: Exception) -> None:
    """The next queries of a dispute raise these errors; later ones are answered."""
    pending = list(errors)

    def fail() -> None:
        if pending:
            raise pending.pop(0)

    simulation.processor.before_answer = fail


def reports(simulation: EventWorld, *events: ProcessorEvent) -> None:
    """The shop's sandbox account lists these events, and no other account lists any."""
    accounts = iter([events])
    simulation.processor.recent_events = (  # type: ignore[attr-defined]
        lambda _: iter(next(accounts, ()))
    )


def dispute_event(simulation: EventWorld, event_id: str) -> ProcessorEvent:
    at = simulation.platform.clock()
    return ProcessorEvent(
        event_id, EventKind.DISPUTE_CHANGED, at, None, simulation.payment_id, "dp_1"
    )


@pytest.mark.parametrize(
    ("error", "failed", "waiting"),
    [(RuntimeError("a defect"), 1, 0), (ProcessorUnknown("no response"), 0, 1)],
)
def test_a_polled_event_with_an_error_does_not_block_the_next_one(
    simulation: EventWorld, error: Exception, failed: int, waiting: int
) -> None:
    before = simulation.receivable()
    simulation.dispute()
    reports(simulation, *(dispute_event(simulation, name) for name in ("evt_1", "evt_2")))
    polling_errors(simulation, error)
    report = poll(simulation.poll_dependencies(), "poll-1")
    assert (report.finished, report.applied) == (True, 1)
    assert (report.failed, report.waiting) == (failed, waiting)
    assert simulation.receivable() == before - 615


def test_a_list_of_events_that_ends_with_an_error_is_read_again_in_the_next_round(
    simulation: EventWorld,
) -> None:
    before = simulation.receivable()
    simulation.dispute()
    event = dispute_event(simulation, "evt_1")

    def first_page_only(_: datetime) -> Iterator[ProcessorEvent]:
        yield event
        raise RuntimeError("a defect")

    simulation.processor.recent_events = first_page_only  # type: ignore[attr-defined]
    report = poll(simulation.poll_dependencies(), "poll-1")
    assert (report.finished, report.applied, report.failed) == (True, 1, 1)

    reports(simulation, event)
    report = poll(simulation.poll_dependencies(), "poll-2")
    assert (report.finished, report.applied, report.failed) == (True, 0, 0)
    assert simulation.receivable() == before - 615


def status_of(simulation: EventWorld, kept: KeptEvent) -> ProcessorEventStatus:
    """Of a kept event. Its table also has the progress of the poll."""
    events = simulation.poll_dependencies().events.kept.events
    row = events.get(kept.id, UNRESTRICTED)
    assert row is not None
    return row.status


@pytest.mark.parametrize(
    ("error", "failed", "waiting"),
    [(RuntimeError("a defect"), 1, 0), (ProcessorUnknown("no response"), 0, 1)],
)
def test_a_kept_event_with_an_error_stays_kept_until_it_is_applied(
    simulation: EventWorld, error: Exception, failed: int, waiting: int
) -> None:
    unknown = new_id("pay", simulation.platform.clock())
    simulation.dispute(reference=unknown)
    old = simulation.platform.clock() - OLD
    assert simulation.hear_of_dispute(reference=unknown, at=old) is EventResult.KEPT
    (kept,) = simulation.platform.rows(KeptEvent)
    payment = simulation.platform.payment()
    simulation.platform.put(payment.model_copy(update={"id": unknown}))
    polling_errors(simulation, error)
    report = poll(simulation.poll_dependencies(), "poll-1")
    assert (report.applied, report.failed, report.waiting) == (0, failed, waiting)
    assert status_of(simulation, kept) is ProcessorEventStatus.UNAPPLIED

    assert poll(simulation.poll_dependencies(), "poll-2").applied == 1
    assert status_of(simulation, kept) is ProcessorEventStatus.APPLIED
    disputed = {each.id: each.dispute_status for each in simulation.platform.payments()}
    assert disputed[unknown] is DisputeStatus.OPENED


def test_an_interrupted_poll_continues_and_the_next_round_overlaps_with_it(
    simulation: EventWorld,
) -> None:
    def days_back(report: PollReport) -> int:
        return (simulation.platform.clock() - to_datetime(report.since)).days

    stopped = poll(replace(simulation.poll_dependencies(), must_stop=lambda: True), "poll-1")
    assert (stopped.finished, days_back(stopped)) == (False, 3)
    simulation.platform.clock.advance(5 * 86_400)
    resumed = poll(simulation.poll_dependencies(), "poll-2")
    assert (resumed.finished, days_back(resumed)) == (True, 8), "the same round"
    simulation.platform.clock.advance(86_400)
    assert days_back(poll(simulation.poll_dependencies(), "poll-3")) == 6, (
        "back to the beginning of the last round"
    )
    simulation.platform.clock.advance(86_400)
    assert days_back(poll(simulation.poll_dependencies(), "poll-4")) == 3


def test_a_merchant_with_endless_events_does_not_block_the_poll_of_others(
    simulation: EventWorld,
) -> None:
    heard: list[str] = []

    def recent_events(_: datetime) -> Iterator[ProcessorEvent]:
        for n in range(1_000):
            heard.append(f"evt_{n}")
            yield ProcessorEvent(
                heard[-1], EventKind.OPERATION_CHANGED, simulation.platform.clock()
            )

    simulation.processor.recent_events = recent_events  # type: ignore[attr-defined]
    short = replace(simulation.poll_dependencies(), must_stop=lambda: len(heard) >= 3)
    stopped = poll(short, "poll-1")
    assert (len(heard), stopped.failed) == (3, 1)
    heard.clear()
    simulation.processor.recent_events = lambda _: iter(())  # type: ignore[attr-defined]
    assert poll(simulation.poll_dependencies(), "poll-2").failed == 0


def test_a_page_of_merchants_without_time_is_first_in_the_next_run(
    simulation: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.payments.disputes.poll.MERCHANTS_PER_PAGE", 1)
    simulation.platform.merchant()
    asked: list[datetime] = []

    def recent_events(since: datetime) -> Iterator[ProcessorEvent]:
        asked.append(since)
        yield ProcessorEvent("evt_1", EventKind.OPERATION_CHANGED, simulation.platform.clock())

    simulation.processor.recent_events = recent_events  # type: ignore[attr-defined]
    per_merchant = len(simulation.processor_names())
    over = replace(simulation.poll_dependencies(), must_stop=lambda: len(asked) > per_merchant)
    assert poll(over, "poll-1").finished is False
    asked.clear()
    rest = poll(simulation.poll_dependencies(), "poll-2")
    assert (rest.finished, rest.merchants, len(asked)) == (True, 1, per_merchant)


def test_a_live_stage_ignores_sandbox_notifications(simulation: EventWorld) -> None:
    timing = simulation.deps.timing.model_copy(update={"processors": "live"})
    before = simulation.receivable()
    simulation.deps = replace(simulation.deps, timing=timing)
    simulation.dispute(DisputeStatus.WON, withdrawn_minor=0, reinstated_minor=1_000_000)
    with pytest.raises(BadSignature):
        simulation.hear_of_dispute()
    reported = ProcessorEvent(
        "evt_2",
        EventKind.DISPUTE_CHANGED,
        simulation.platform.clock(),
        None,
        simulation.payment_id,
        "dp_1",
    )
    simulation.processor.recent_events = lambda _: iter((reported,))  # type: ignore[attr-defined]
    assert poll(simulation.poll_dependencies(), "poll-1").applied == 0
    assert simulation.receivable() == before
