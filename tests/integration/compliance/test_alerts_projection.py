"""Alerts from the change streams: the same ones, however records arrive and are projected."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from runtime.alerts.announcement import AnnouncementProjection, Bus
from runtime.alerts.api import AlertAnswer
from runtime.alerts.event_bus import MAX_ENTRIES, EventBus
from runtime.alerts.models import ALERT_RAISED, Alert, AlertFacts, AlertType
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.compliance.projection import RuleProjection, VelocityProjection
from runtime.compliance.repository import KEPT_FOR, MOST_KEPT, VelocityRepository
from runtime.compliance.rules import large_payment, large_transfer, lockout, minute_of
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.store import Store
from runtime.functions.composition.projector import Projector
from runtime.payments.models import Payment
from runtime.payments.rate_limits.models import CustomerMinute
from runtime.streams.records import Kind, StreamRecord, batch_answer
from tests.support.engines.choice import CHOSEN, engine_named
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Fault, Faults, at_call, seeded
from tests.support.engines.streams import QUIET, STORMY, StreamPoller
from tests.support.fakes import START, FakeEvents, ParkingLot
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform, at_once

THRESHOLD = 1_000_000
CUSTOMERS = ("cus_1", "cus_2")


def projector(platform: Platform, store: Store | None = None, bus: Bus | None = None) -> Projector:
    store = store or platform.store
    alerts, threads = AlertRepository(store), store.outside.threads
    locked = RuleProjection(lockout, alerts, threads)
    large = RuleProjection(partial(large_payment, threshold_minor=THRESHOLD), alerts, threads)
    moved = RuleProjection(partial(large_transfer, threshold_minor=THRESHOLD), alerts, threads)
    return Projector(
        platform.store.codec,
        {
            "accounts": (locked,),
            "alerts": (AnnouncementProjection(bus or EventBus(FakeEvents())),),  # type: ignore[arg-type]
            "customers": (locked,),
            "payments": (large, VelocityProjection(VelocityRepository(store), alerts, 5, threads)),
            "transfers": (moved,),
        },
        lambda _: False,
        ParkingLot(),
    )


def record(platform: Platform, old: Any, new: Any) -> StreamRecord:
    """One record as in the stream."""
    kind = Kind.INSERT if old is None else Kind.REMOVE if new is None else Kind.MODIFY
    to_item = platform.store.codec.to_item
    row = new or old
    return StreamRecord(
        table=type(row).table_schema.name,
        kind=kind,
        sequence_number=f"{row.id}-{getattr(row, 'version', 1)}",
        old=None if old is None else to_item(old),
        new=None if new is None else to_item(new),
    )


def payment(seconds: float, customer: str | None = "cus_1", **more: Any) -> Payment:
    at = START + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "id": new_id("pay", at),
        "customer_id": customer,
        "merchant_id": "mer_1",
        "status": "processing",
        "amount": 1000,
        "currency": "USD",
        "payment_method": "tok_approved",
        "processor": "sandbox",
        "created_at": to_timestamp(at),
        "updated_at": to_timestamp(at),
        **SETUP.stamp(),
        **more,
    }
    return Payment(**values)


def succeeded(before: Payment) -> Payment:
    return before.model_copy(
        update={
            "version": before.version + 1,
            "status": "succeeded",
            "updated_at": to_timestamp(minute_of(before.id) + timedelta(seconds=59)),
        }
    )


def shuffled(dice: random.Random, records: Sequence[StreamRecord]) -> list[list[StreamRecord]]:
    """Batches in which every record occurs once or more often, in any order."""
    several = [each for each in records for _ in range(dice.randint(1, 3))]
    dice.shuffle(several)
    batches = []
    while several:
        size = dice.randint(1, 10)
        batches.append(several[:size])
        several = several[size:]
    return batches


def busy(platform: Platform, customer: str = "cus_1") -> list[int]:
    """The minutes after START of alerts about a customer's velocity."""
    rows = [
        row
        for row in platform.rows(Alert)
        if (row.type, row.entity_id) == (AlertType.SUSPICIOUS_VELOCITY, customer)
    ]
    times = sorted(minute_of(row.id) - START for row in rows)
    return [time // timedelta(minutes=1) for time in times]


# ------------------------------------------------------------ velocity


@pytest.mark.parametrize(
    ("seconds", "minutes"),
    [
        ((0, 10, 20, 30), []),
        ((0, 10, 20, 30, 59.999), [0]),
        ((0, 10, 20, 30, 60), []),
        ((45, 50, 55, 60, 65), [1]),
        ((0, 1, 2, 3, 4, 5, 6, 7, 119, 121), [0]),
    ],
)
def test_five_payments_of_a_customer_within_a_minute_are_one_alert(
    either_world: Platform, seconds: tuple[float, ...], minutes: list[int]
) -> None:
    platform = either_world
    work = projector(platform)
    for each in seconds:
        assert work.apply([record(platform, None, payment(each))]) == frozenset()
    assert busy(platform) == minutes
    for row in platform.rows(Alert):
        assert (row.merchant_id, row.entity_id) == ("mer_1", "cus_1")
        assert row.detail["payments"] == len(row.detail["payment_ids"]) == 5  # type: ignore[arg-type]
        assert row.detail["within_seconds"] == 60


def test_payments_of_others_without_a_customer_and_changes_of_old_ones_do_not_count(
    platform: Platform,
) -> None:
    one = [payment(n) for n in range(4)]
    records = [record(platform, None, each) for each in one]
    records += [record(platform, each, succeeded(each)) for each in one]
    records += [record(platform, None, payment(n, "cus_2")) for n in range(4)]
    records += [record(platform, None, payment(n, None)) for n in range(9)]
    records += [record(platform, one[0], None)]
    odd = [payment(n).model_copy(update={"id": f"pay_by_hand_{n}"}) for n in range(5)]
    records += [record(platform, None, each) for each in odd]
    assert projector(platform).apply(records) == frozenset()
    assert platform.rows(Alert) == []


def test_repeated_late_and_unordered_records_on_several_projectors_make_the_same_alerts(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    times = {
        "cus_1": [dice.uniform(0, 240) for _ in range(24)] + [59.9, 59.95, 60, 60.1, 60.2],
        "cus_2": [dice.uniform(0, 30) for _ in range(4)] + [95.0, 96.0],
    }
    payments = {who: [payment(each, who) for each in when] for who, when in times.items()}
    records = [record(platform, None, each) for mine in payments.values() for each in mine]
    work = [
        lambda n=n: [
            projector(platform).apply(each) for each in shuffled(random.Random(n), records)
        ]
        for n in (dice.randrange(10**6) for _ in range(3))
    ]
    for outcome in at_once(*work):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    for who, mine in payments.items():
        assert busy(platform, who) == expected_minutes(mine)


def expected_minutes(payments: Sequence[Payment]) -> list[int]:
    """By brute force: the minutes of payments with four others in the minute up to them."""
    times = [datetime.fromisoformat(each.created_at) for each in payments]
    period = timedelta(minutes=1)
    last = [time for time in times if sum(time - period < t <= time for t in times) >= 5]
    return sorted({(time - START) // period for time in last})


def test_a_minute_keeps_at_most_its_limit_of_payments_and_still_alerts(
    either_world: Platform,
) -> None:
    platform = either_world
    payments = [payment(n / 10) for n in range(MOST_KEPT + 50)]
    work = projector(platform)
    for start in range(0, len(payments), 10):
        batch = [record(platform, None, each) for each in payments[start : start + 10]]
        assert work.apply(batch) == frozenset()
    (item,) = platform.client.scan(TableName=platform.tables["limits"])["Items"]
    assert len(item["payments"]["SS"]) == MOST_KEPT
    assert busy(platform) == [0]
    end = START + timedelta(minutes=1) + KEPT_FOR
    assert int(item["expires_at"]["N"]) == int(end.timestamp())
    assert platform.store.codec.to_row(CustomerMinute.table_schema, item, CustomerMinute)


def test_a_batch_that_meets_a_busy_database_is_retried_and_counts_once(platform: Platform) -> None:
    records = [record(platform, None, payment(n / 2, who)) for n in range(5) for who in CUSTOMERS]
    left, rounds = records, 0
    while left:
        faults = Faults(seeded(f"velocity-{rounds}", rate=0.7 if rounds < 4 else 0.0))
        client = faults.attach(platform.engine.dynamodb())
        store = platform.store_on(client, remaining_seconds=lambda: 0.55)
        failed = projector(platform, store).apply(left)
        assert failed <= {each.sequence_number for each in left}
        left = [each for each in left if each.sequence_number in failed]
        rounds += 1
    assert rounds > 1
    assert [busy(platform, who) for who in CUSTOMERS] == [[0], [0]]


@pytest.mark.parametrize("engine_name", CHOSEN)
def test_real_streams_under_faults_make_the_same_alerts_as_without(
    engine_name: str, request: pytest.FixtureRequest, dice: random.Random
) -> None:
    platform = Platform(engine_named(engine_name, request), streams=True)
    payments = [
        payment(dice.uniform(0, 180), dice.choice(CUSTOMERS), amount=dice.choice((5, THRESHOLD)))
        for _ in range(40)
    ]
    names = {physical: name for name, physical in platform.tables.items()}
    bus = FakeEvents()
    numbers = itertools.count()

    def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
        plan = seeded(f"storm-{next(numbers)}", rate=0.1, kills=0.02, kill_anywhere=True)
        store = platform.store_on(Faults(plan).attach(platform.engine.dynamodb()))
        records = [StreamRecord.of(raw, names) for raw in event["Records"]]
        failed = projector(platform, store, EventBus(bus)).apply(records)  # type: ignore[arg-type]
        return batch_answer(records, failed)

    tables = [platform.tables["payments"], platform.tables["alerts"]]
    poller = StreamPoller(platform.engine, tables, handler, seed=f"{dice.random()}", faults=STORMY)
    with poller.running(workers=2):
        for each in dice.sample(payments, len(payments)):
            platform.put(each)
            platform.put(succeeded(each))
    poller.drain(faults=QUIET)
    for who in CUSTOMERS:
        assert busy(platform, who) == expected_minutes(
            [p for p in payments if p.customer_id == who]
        )
    rows = platform.rows(Alert)
    large = {row.entity_id for row in rows if row.type is AlertType.LARGE_TRANSACTION}
    assert large == {each.id for each in payments if each.amount == THRESHOLD}
    assert {json.loads(entry["Detail"])["id"] for entry in bus.taken} == {row.id for row in rows}
    platform.drop()


# ------------------------------------------------------------ one change, one rule


def test_a_large_payment_is_one_alert_through_all_its_changes(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    intent = payment(1, amount=THRESHOLD)
    paid = succeeded(intent)
    refunded = paid.model_copy(update={"version": 3, "amount_refunded": 5})
    records = [
        record(platform, None, intent),
        record(platform, intent, paid),
        record(platform, paid, refunded),
    ]
    small = payment(2, amount=THRESHOLD - 1)
    records += [record(platform, None, small), record(platform, small, succeeded(small))]
    for outcome in at_once(
        *[
            lambda n=n: [
                projector(platform).apply(each) for each in shuffled(random.Random(n), records)
            ]
            for n in (dice.randrange(10**6) for _ in range(2))
        ]
    ):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    (row,) = platform.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.LARGE_TRANSACTION, intent.id)
    assert row.created_at == paid.updated_at
    assert row.detail["amount"] == THRESHOLD


def test_three_failures_of_a_customer_are_a_lockout_alert(
    either_world: Platform,
) -> None:
    platform = either_world
    merchant = platform.merchant()
    customer_id = platform.customer(merchant)

    def stored() -> Any:
        key = {"id": {"S": customer_id}}
        return platform.client.get_item(TableName=platform.tables["customers"], Key=key)["Item"]

    steps = [stored()]
    for _ in range(3):
        platform.pay(merchant, customer_id=customer_id, payment_method="tok_declined")
        steps.append(stored())
    records = [
        StreamRecord("customers", Kind.MODIFY, f"c-{n}", steps[n], steps[n + 1]) for n in range(3)
    ]
    for _ in range(2):
        assert projector(platform).apply(records) == frozenset()
    (row,) = platform.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.LOCKOUT, customer_id)
    assert row.merchant_id == merchant.id
    until = steps[-1]["locked_until"]["S"]
    assert row.detail == {"entity_type": "customer", "locked_until": until}


def test_a_row_written_before_the_function_died_is_found_by_the_retry(
    platform: Platform,
) -> None:
    records = [
        record(platform, None, succeeded(payment(n, None, amount=THRESHOLD))) for n in range(3)
    ]
    client = Faults(at_call("PutItem", 2, Fault.ANSWER_LOST)).attach(platform.engine.dynamodb())
    store = platform.store_on(client, remaining_seconds=lambda: 0.0)
    (lost,) = projector(platform, store).apply(records)
    assert len(platform.rows(Alert)) == 3
    assert lost in {each.sequence_number for each in records}
    assert projector(platform).apply(records) == frozenset()
    assert len(platform.rows(Alert)) == 3


# ------------------------------------------------------------ announcing alerts


def alerts_of(platform: Platform, count: int) -> list[Alert]:
    for number in range(count):
        finding = AlertFacts(
            AlertType.OUT_OF_BAND if number % 2 else AlertType.LARGE_TRANSACTION,
            entity_type="payment",
            entity_id=f"pay_{number}",
            merchant_id="mer_1",
            detail={"amount": number},
            at=START + timedelta(seconds=number),
        )
        raise_alert(finding, AlertRepository(platform.store))
    return sorted(platform.rows(Alert), key=lambda row: row.listed_at)


def test_a_new_alert_becomes_an_event_in_the_apis_form_and_a_counted_log_line(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakeEvents()
    rows = alerts_of(platform, MAX_ENTRIES + 3)
    records = [record(platform, None, row) for row in rows] + [record(platform, rows[0], rows[1])]
    assert projector(platform, bus=EventBus(bus)).apply(records) == frozenset()  # type: ignore[arg-type]
    assert [json.loads(entry["Detail"]) for entry in bus.taken] == [
        AlertAnswer.of(row).model_dump(mode="json") for row in rows
    ]
    assert {entry["Source"] for entry in bus.taken} == {"payments"}
    assert [entry["DetailType"] for entry in bus.taken] == [row.type for row in rows]
    assert caplog.messages.count(ALERT_RAISED) == len(rows)


def test_an_event_that_the_bus_refuses_is_retried_without_a_second_row(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    rows = alerts_of(platform, 12)
    records = [record(platform, None, row) for row in rows]
    bus = FakeEvents(available=False)
    work = projector(platform, bus=EventBus(bus))  # type: ignore[arg-type]
    assert work.apply(records) == {each.sequence_number for each in records}
    bus.available, bus.refuses = True, lambda entry: "pay_11" in entry["Detail"]
    assert work.apply(records) == {records[11].sequence_number}
    bus.refuses = lambda _: False
    assert work.apply(records[11:]) == frozenset()
    reported = [json.loads(entry["Detail"])["id"] for entry in bus.taken]
    assert sorted(reported) == sorted(row.id for row in rows)
    assert caplog.messages.count(ALERT_RAISED) == len(rows)
    assert len(platform.rows(Alert)) == 12


def test_an_event_reaches_a_rule_of_the_default_bus(
    platform: Platform, ministack_engine: Engine
) -> None:
    events, sqs = ministack_engine.client("events"), ministack_engine.client("sqs")
    queue_url = sqs.create_queue(QueueName=platform.tables["alerts"])["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = json.dumps({"source": ["payments"], "detail-type": ["out_of_band"]})
    name = platform.tables["alerts"]
    events.put_rule(Name=name, EventPattern=pattern)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    rows = alerts_of(platform, 2)
    work = projector(platform, bus=EventBus(events))
    assert work.apply([record(platform, None, row) for row in rows]) == frozenset()
    answer = sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=5, MaxNumberOfMessages=10)
    (message,) = answer["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("payments", "out_of_band")
    assert event["detail"] == AlertAnswer.of(rows[1]).model_dump(mode="json")
    events.remove_targets(Rule=name, Ids=["queue"])
    events.delete_rule(Name=name)
    sqs.delete_queue(QueueUrl=queue_url)
