"""Many merchants' payments in one run: in parallel, taking turns, each resolved once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.alerts.models import Alert, AlertType
from runtime.core.errors import EncryptedField, IntegrityError, ProcessorUnknown, Unavailable
from runtime.core.fair_run import ONE_BY_ONE, RunLimits
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import (
    LEAST_OPEN_BUCKETS_OF_MERCHANT,
    OPEN_BUCKETS,
    open_buckets_of,
    payment_open_bucket,
)
from runtime.functions.composition.services import Invocation
from runtime.merchants.models import Merchant, MerchantProfile
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors.port import Processor
from runtime.payments.resolution.open_queue import OpenQueue
from runtime.payments.resolution.resolver import resolve_due
from runtime.payments.transaction_models import Transaction, TransactionStatus
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.outside import new_id
from tests.support.platform import Hooked, Platform, at_once

LIMITS = RunLimits(workers=12, per_owner=3)
MERCHANTS, EACH = 4, 9
LONGEST_WAIT_SECONDS = 60.0


class Counted:
    """A processor that counts concurrent requests by merchant; the first waits for a second."""

    def __init__(self, inner: Processor, owners: dict[str, str]) -> None:
        self._inner, self._owners = inner, owners
        self._lock = threading.Lock()
        self._two_at_once = {owner: threading.Event() for owner in owners.values()}
        self._working: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def find(self, request: Any) -> Any:
        return self._slowly(request.reference, lambda: self._inner.find(request))

    def find_operation(self, request: Any) -> Any:
        return self._slowly(request.reference, lambda: self._inner.find_operation(request))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _slowly(self, reference: str, ask: Any) -> Any:
        owner = self._owners[reference]
        with self._lock:
            self.asked[reference] += 1
            self._working[owner] += 1
            self.most[owner] = max(self.most[owner], self._working[owner])
            if self._working[owner] > 1:
                self._two_at_once[owner].set()
        try:
            self._two_at_once[owner].wait(LONGEST_WAIT_SECONDS)
            return ask()
        finally:
            with self._lock:
                self._working[owner] -= 1


@pytest.fixture
def merchants(platform: Platform) -> list[MerchantProfile]:
    return [platform.merchant() for _ in range(MERCHANTS)]


def unheard(platform: Platform) -> PaymentDependencies:
    """The processor loses the answer to an operation."""

    def lose() -> None:
        raise ProcessorUnknown("the answer was lost")

    return platform.deps(processor=Hooked(platform.sandbox(), after=lose))


def open_things(platform: Platform, merchants: list[MerchantProfile]) -> dict[str, str]:
    """Payments and refunds with lost answers: the id of each, and its merchant's."""
    for merchant in merchants:
        for number in range(EACH):
            if number % 3:
                platform.pay(merchant, payment_method="tok_timeout")
            else:
                platform.operate(
                    merchant, platform.paid(merchant), "refund", deps=unheard(platform)
                )
    unknown = [each for each in platform.payments() if each.status is PaymentStatus.UNKNOWN]
    return {each.id: each.merchant_id for each in [*unknown, *_pending(platform)]}


def _pending(platform: Platform) -> list[Transaction]:
    return [e for e in platform.rows(Transaction) if e.status is TransactionStatus.PENDING]


def test_all_payments_are_resolved_once_in_parallel_with_a_limit_per_merchant(
    platform: Platform, merchants: list[MerchantProfile]
) -> None:
    owners = open_things(platform, merchants)
    processor = Counted(platform.sandbox(), owners)
    platform.clock.advance(120)
    report = platform.resolve(processor=processor, limits=LIMITS)  # type: ignore[arg-type]
    assert (report.due, report.resolved, report.failed) == (len(owners), len(owners), 0)
    assert dict(processor.asked) == dict.fromkeys(owners, 1)
    assert set(processor.most) == {merchant.id for merchant in merchants}
    assert all(1 < most <= LIMITS.per_owner for most in processor.most.values()), processor.most
    assert not report.stopped_early
    assert platform.resolve().due == 0
    platform.must_agree()


def test_two_concurrent_runs_resolve_each_payment_once(
    platform: Platform, merchants: list[MerchantProfile]
) -> None:
    owners = open_things(platform, merchants)
    processor = Counted(platform.sandbox(), owners)
    platform.clock.advance(120)

    def run() -> Any:
        return platform.resolve(processor=processor, limits=LIMITS)  # type: ignore[arg-type]

    reports = at_once(run, run)
    assert sum(report.resolved for report in reports) == len(owners), reports
    assert all(report.failed == 0 for report in reports)
    assert dict(processor.asked) == dict.fromkeys(owners, 1)
    platform.must_agree()


def test_faults_of_one_merchants_payments_do_not_block_others(
    platform: Platform, merchants: list[MerchantProfile]
) -> None:
    owners = open_things(platform, merchants)
    key = {"id": {"S": merchants[0].id}}
    platform.client.delete_item(TableName=platform.tables["merchants"], Key=key)
    platform.clock.advance(120)
    report = platform.resolve(limits=LIMITS)
    assert (report.resolved, report.failed) == (EACH * (MERCHANTS - 1), EACH)
    assert report.due == len(owners)


def test_a_payment_whose_keys_cannot_be_decrypted_raises_an_alert_and_does_not_block_others(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, sound = platform.merchant(), platform.merchant()
    for merchant in (damaged, sound):
        platform.pay(merchant, payment_method="tok_timeout")
    (lost,) = (each.id for each in platform.payments() if each.merchant_id == damaged.id)

    class Undecryptable(Hooked):
        def find(self, request: Any) -> Any:
            if request.reference == lost:
                error = IntegrityError("the ciphertext cannot be decrypted")
                error.place = EncryptedField(
                    "merchants", damaged.id, "processor_config", damaged.id
                )
                raise error
            return self._inner.find(request)

    platform.clock.advance(120)
    report = platform.resolve(processor=Undecryptable(platform.sandbox()))
    assert (report.resolved, report.failed) == (1, 1)
    assert "integrity_error" in caplog.messages
    (alert,) = platform.rows(Alert)
    assert (alert.type, alert.entity_id) == (AlertType.DECRYPTION_FAILURE, damaged.id)
    assert alert.merchant_id == damaged.id


def test_many_stuck_payments_do_not_hide_another_merchants(
    platform: Platform,
) -> None:
    """More than a hundred older payments that are unknown to their processor."""
    stuck, other = platform.merchant(), platform.merchant()
    platform.pay(stuck, payment_method="tok_timeout")
    template = platform.payment()
    platform.delete(template)
    for _ in range(110):
        identifier = new_id("pay", platform.clock())
        bucket = payment_open_bucket(stuck.id, identifier, stuck.index_buckets)
        platform.put(template.model_copy(update={"id": identifier, "open_bucket": bucket}))
    platform.clock.advance(1)
    platform.pay(other, payment_method="tok_timeout")

    class Failing(Hooked):
        def find(self, request: Any) -> Any:
            if request.reference < wanted.id:
                raise ProcessorUnknown("a 500 that is stored under the key")
            return self._inner.find(request)

    (wanted,) = (each for each in platform.payments() if each.merchant_id == other.id)
    platform.clock.advance(60)
    platform.resolve(processor=Failing(platform.sandbox()))
    (wanted,) = (each for each in platform.payments() if each.merchant_id == other.id)
    assert wanted.status is PaymentStatus.SUCCEEDED


def test_a_payment_that_becomes_due_during_a_run_is_resolved_in_it(platform: Platform) -> None:
    merchant, late = platform.merchant(), platform.merchant()
    platform.pay(merchant, payment_method="tok_timeout")
    first = platform.payment().id

    class Slow(Hooked):
        def find(self, request: Any) -> Any:
            if request.reference == first:
                platform.pay(late, payment_method="tok_timeout")
                time.sleep(0.2)
            return self._inner.find(request)

    limits = replace(LIMITS, look_seconds=0.05)
    report = platform.resolve(processor=Slow(platform.sandbox()), limits=limits)
    assert (report.due, report.resolved) == (2, 2)


# -------------------------------------------------------------------- the queue


def test_a_newly_due_row_is_found_behind_very_many_of_one_merchant(
    platform: Platform,
) -> None:
    stuck, other = platform.merchant(), platform.merchant()
    for _ in range(60):
        platform.pay(stuck, payment_method="tok_timeout")
    platform.clock.advance(1)
    platform.pay(other, payment_method="tok_timeout")
    (wanted,) = (each for each in platform.payments() if each.merchant_id == other.id)
    ((crowded, rows),) = Counter(
        each.open_bucket for each in platform.payments() if each.merchant_id == stuck.id
    ).most_common(1)
    assert rows > 2, "more than are read"
    platform.put(wanted.model_copy(update={"open_bucket": crowded}))
    queue = OpenQueue(platform.store, parallel=4, max_due=OPEN_BUCKETS)
    due = queue.due(Payment, platform.clock())
    assert wanted.id in due
    assert len(due) == len(set(due)) <= 2 * LEAST_OPEN_BUCKETS_OF_MERCHANT
    assert queue.owners(Payment, due)[wanted.id] == other.id


def test_a_merchant_may_get_more_index_buckets_and_leaves_no_row_behind(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    for _ in range(6):
        platform.pay(merchant, payment_method="tok_timeout")
    (row,) = platform.rows(Merchant)
    platform.put(row.model_copy(update={"index_buckets": 256}))
    for _ in range(20):
        platform.pay(merchant, payment_method="tok_timeout")
    buckets = {row.open_bucket for row in platform.payments()}
    before = set(open_buckets_of(merchant.id, 1))
    assert len(before) == LEAST_OPEN_BUCKETS_OF_MERCHANT
    assert buckets & before
    assert buckets - before, "the later payments use more"
    due = OpenQueue(platform.store).due(Payment, platform.clock())
    assert due == sorted(row.id for row in platform.payments()), "oldest first, of all buckets"
    report = platform.resolve()
    assert (report.due, report.resolved) == (26, 26)


@pytest.mark.parametrize(
    "more",
    [{}, {"merchant_id": {"N": "5"}}, {"next_action_at": {"S": "0"}}],
    ids=["no merchant", "no merchant's id", "no time"],
)
def test_a_row_written_out_of_band_does_not_delay_others(
    platform: Platform, more: dict[str, Any]
) -> None:
    merchant = platform.merchant()
    platform.pay(merchant, payment_method="tok_timeout")
    stray = {
        "id": {"S": "stray"},
        "open_bucket": {"S": "open#000"},
        "next_action_at": {"S": to_timestamp(platform.clock())},
        **more,
    }
    platform.client.put_item(TableName=platform.tables["payments"], Item=stray)
    report = platform.resolve(limits=LIMITS)
    assert (report.due, report.resolved, report.failed) == (2, 1, 1)


# -------------------------------------------------------------------- an index that is throttled


OUTCOME = 3  # after the intent, and the sandbox's own record of the charge


def test_an_outcome_with_a_throttled_index_is_written_while_there_is_time(
    platform: Platform,
) -> None:
    """A request's time ends before its lease, so no other process has taken the payment."""
    merchant, seconds = platform.merchant(), [29.0]
    assert seconds[0] < platform.timing.intent_lease_seconds

    def throttled(called: str, number: int) -> Fault | None:
        outcome = called == COMMIT and number >= OUTCOME
        return Fault.THROTTLED_INDEX if outcome and seconds[0] > 2 else None

    def sleep(slept: float) -> None:
        seconds[0] -= slept

    faults = Faults(throttled)
    store = platform.store_on(
        faults.attach(platform.engine.dynamodb()), remaining_seconds=lambda: seconds[0], sleep=sleep
    )
    answer = platform.pay(merchant, "k", deps=platform.deps(store))
    assert (answer.status, answer.replayed) == (201, False)
    assert len(faults.injected) > 20, "for 27 seconds"
    assert platform.pay(merchant, "k") == answer.again()
    platform.must_agree()


def test_an_outcome_whose_index_stays_throttled_is_finished_by_the_resolver(
    platform: Platform,
) -> None:
    merchant, seconds = platform.merchant(), [29.0]

    def throttled(called: str, number: int) -> Fault | None:
        return Fault.THROTTLED_INDEX if called == COMMIT and number >= OUTCOME else None

    def sleep(slept: float) -> None:
        seconds[0] -= slept

    client = Faults(throttled).attach(platform.engine.dynamodb())
    store = platform.store_on(client, remaining_seconds=lambda: seconds[0], sleep=sleep)
    with pytest.raises(Unavailable):
        platform.pay(merchant, "k", deps=platform.deps(store))
    assert seconds[0] < 2.0, "not before"
    platform.resolve_until_quiet()
    assert platform.pay(merchant, "k").status == 201
    assert len(platform.charges()) == 1
    platform.must_agree()


def test_a_run_retries_a_throttled_outcome_until_its_lease_ends_and_then_continues(
    platform: Platform,
) -> None:
    """It does not retry until the run's own time ends, two minutes later: others wait."""
    for _ in range(2):
        platform.pay(platform.merchant(), payment_method="tok_timeout")
    lease, seconds = 2 * platform.timing.processor_timeout_seconds, [0.0]

    def throttled(called: str, number: int) -> Fault | None:
        outcome = called == COMMIT and number > 1
        return Fault.THROTTLED_INDEX if outcome and seconds[0] < lease else None

    def sleep(slept: float) -> None:
        seconds[0] += slept

    invocation = Invocation(monotonic=lambda: seconds[0])
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 120_000)
    invocation.begin(context)
    store = platform.store_on(
        Faults(throttled).attach(platform.engine.dynamodb()),
        remaining_seconds=invocation.remaining_seconds,
        sleep=sleep,
    )
    deps = platform.deps(store, platform.sandbox())
    report = resolve_due(
        deps, store, "run", platform.operational_alerts(), ONE_BY_ONE, invocation.within
    )
    assert (report.resolved, report.failed) == (1, 1)
    assert lease - 2 < seconds[0] < lease + 2
    platform.resolve_until_quiet()
    platform.must_agree()
