"""Events of the change streams become deliveries, each once, however often its record comes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from runtime.domain.instants import to_epoch_seconds, to_instant
from runtime.errors import Unavailable, Unopenable
from runtime.gateways.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.models.alert import Alert
from runtime.models.customer import Customer, CustomerState
from runtime.models.data_key import DataKey
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment
from runtime.models.scope import EVERYBODY
from runtime.models.transaction import Transaction
from runtime.models.webhook import Webhook, WebhookStatus
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.expressions import change
from runtime.repositories.store import Store
from runtime.repositories.webhooks import WebhookRepository
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.projector import Projector
from runtime.services.stream_records import Change, Kind, StreamRecord
from runtime.services.webhook_projection import WebhookProjection
from runtime.services.webhook_retries import RetriesDesk, queue_due
from tests.support.fakes import ParkingLot
from tests.support.faults import Fault, Faults, at_call, seeded
from tests.support.world import World, at_once

URL = "https://hooks.example/in"
DEADLINE = timedelta(days=3)
TABLES = ("accounts", "alerts", "customers", "payments", "transactions", "transfers")


def projection(
    world: World,
    store: Store | None = None,
    parking: ParkingLot | None = None,
    unopened: Callable[[Unopenable], None] = lambda _: None,
) -> WebhookProjection:
    return WebhookProjection(
        store=store or world.store,
        merchants=world.profiles(),
        queue=DeliveryQueue(world.sqs, "queue"),  # type: ignore[arg-type]
        outside=world.outside,
        request_id=lambda: "invocation",
        deadline=DEADLINE,
        parking=parking or ParkingLot(),
        unopened=unopened,
    )


def projector(
    world: World,
    store: Store | None = None,
    parking: ParkingLot | None = None,
    unopened: Callable[[Unopenable], None] = lambda _: None,
) -> Projector:
    parking = parking or ParkingLot()
    mine = projection(world, store, parking, unopened)
    return Projector(world.store.codec, dict.fromkeys(TABLES, (mine,)), lambda _: False, parking)


def orders(world: World) -> list[DeliveryOrder]:
    return [DeliveryOrder.model_validate_json(each["MessageBody"]) for each in world.sqs.batched]


def records_of(world: World, payment: Payment) -> list[StreamRecord]:
    """A payment's two versions, as its stream tells them."""
    intent = payment.model_copy(
        update={"version": payment.version - 1, "status": "processing", "merchant_bucket": None}
    )
    to_item = world.store.codec.to_item
    return [
        StreamRecord("payments", Kind.INSERT, f"{payment.id}-1", None, to_item(intent)),
        StreamRecord("payments", Kind.MODIFY, f"{payment.id}-2", to_item(intent), to_item(payment)),
    ]


def shuffled(dice: random.Random, records: Sequence[StreamRecord]) -> list[list[StreamRecord]]:
    several = [each for each in records for _ in range(dice.randint(1, 3))]
    dice.shuffle(several)
    return [several[start : start + 7] for start in range(0, len(several), 7)]


def test_a_payment_becomes_one_enciphered_delivery_and_one_order(either_world: World) -> None:
    world = either_world
    merchant = world.merchant(webhook_url=URL, index_buckets=4)
    world.paid(merchant, metadata={"order": "4711"})
    payment = world.payment()
    at = world.clock()
    assert projector(world).apply(records_of(world, payment)) == frozenset()
    (row,) = world.rows(Webhook)
    body = json.loads(row.payload)
    assert body["id"] == row.id
    assert (body["type"], body["sequence"]) == ("payment.succeeded", payment.version)
    assert body["created"] == payment.updated_at == row.created_at
    assert body["data"]["id"] == payment.id
    assert body["data"]["metadata"] == {"order": "4711"}
    assert (row.merchant_id, row.payment_id, row.url) == (merchant.id, payment.id, URL)
    assert row.event_key == f"event#payment.succeeded#{row.id}"
    assert row.merchant_bucket.startswith(f"{merchant.id}#")
    assert (row.status, row.attempts, row.version) == (WebhookStatus.PENDING, 0, 1)
    assert row.retry_bucket is not None
    assert row.next_retry is not None
    assert row.next_retry > to_instant(at + timedelta(seconds=59))
    assert row.expires_at - to_epoch_seconds(at + DEADLINE) in (0, 1)
    assert orders(world) == [DeliveryOrder(id=row.id, version=1, merchant_id=merchant.id)]
    assert world.sqs.batched[0]["MessageGroupId"] == merchant.id
    stored = world.client.get_item(
        TableName=world.tables["webhooks"], Key={"id": {"S": row.id}}, ConsistentRead=True
    )["Item"]
    assert "4711" not in str(stored)


def test_a_merchant_whose_data_key_does_not_open_is_reported_and_its_record_comes_again(
    world: World,
) -> None:
    merchant = world.merchant(webhook_url=URL)
    world.merchant(webhook_url=URL)  # of another, whose key will stand in its place
    world.paid(merchant)
    keys = {row.subject: row for row in world.rows(DataKey)}
    mine = keys.pop(f"pii#{merchant.id}")
    other = next(row for subject, row in keys.items() if subject.startswith("pii#mer_"))
    world.put(mine.model_copy(update={"wrapped": other.wrapped}))
    world.forget_keys()
    told: list[Unopenable] = []
    records = records_of(world, world.payment())
    failed = projector(world, unopened=told.append).apply(records)
    assert failed == {records[-1].sequence_number}
    assert len(told) == 1
    assert world.rows(Webhook) == []


def test_records_that_come_again_in_any_order_and_at_once_make_one_row_each(
    either_world: World, dice: random.Random
) -> None:
    world = either_world
    merchant = world.merchant(webhook_url=URL)
    for number in range(6):
        world.paid(merchant, amount=100 + number)
    payments = world.payments()
    records = [record for payment in payments for record in records_of(world, payment)]
    work = [
        lambda n=n: [projector(world).apply(each) for each in shuffled(random.Random(n), records)]
        for n in range(3)
    ]
    for outcome in at_once(*work):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    rows = world.rows(Webhook)
    assert sorted(row.payment_id or "" for row in rows) == [payment.id for payment in payments]
    assert {order.id for order in orders(world)} == {row.id for row in rows}


def test_an_outage_of_the_queue_holds_up_no_stream_and_the_sweep_sends_what_was_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    merchant = world.merchant(webhook_url=URL)
    for number in range(5):
        world.paid(merchant, amount=100 + number)
    records = [record for payment in world.payments() for record in records_of(world, payment)]
    world.sqs.available = False
    assert projector(world).apply(records) == frozenset()
    rows = world.rows(Webhook)
    assert len(rows) == 5
    assert orders(world) == []
    assert "webhooks wait for the sweep" in caplog.messages
    world.sqs.available = True
    world.clock.advance(61)
    queue = DeliveryQueue(world.sqs, "queue")  # type: ignore[arg-type]
    desk = RetriesDesk(WebhookRepository(world.store), queue, world.outside, lambda: False)
    assert queue_due(desk).queued == 5
    assert {order.id for order in orders(world)} == {row.id for row in rows}


def test_a_merchant_that_cannot_be_read_holds_up_no_other(world: World) -> None:
    broken, well = world.merchant(webhook_url=URL), world.merchant(webhook_url=URL)
    for merchant in (broken, well, broken):
        world.paid(merchant)
    payments = sorted(world.payments(), key=lambda each: each.id)
    records = [record for payment in payments for record in records_of(world, payment)]
    world.client.update_item(
        TableName=world.tables["merchants"],
        Key={"id": {"S": broken.id}},
        UpdateExpression="SET webhook_url = :wrong",
        ExpressionAttributeValues={":wrong": {"N": "1"}},
    )
    parking = ParkingLot()
    assert projector(world, parking=parking).apply(records) == frozenset()
    assert [row.merchant_id for row in world.rows(Webhook)] == [well.id]
    assert set(parking.parked) == {
        ("payments", f"{payment.id}-2") for payment in payments if payment.merchant_id == broken.id
    }


def test_a_merchant_whose_id_is_too_long_for_a_key_holds_up_no_other(world: World) -> None:
    """DynamoDB takes 2,048 bytes in a partition key; such a row was put by hand."""
    merchant = world.merchant(webhook_url=URL)
    world.paid(merchant)
    payment = world.payment()
    foreign = payment.model_copy(update={"id": "pay_foreign", "merchant_id": "m" * 2_100})
    poison, good = records_of(world, foreign), records_of(world, payment)
    parking = ParkingLot()
    records = [good[0], poison[0], poison[1], good[1]]
    assert projector(world, parking=parking).apply(records) == frozenset()
    assert list(parking.parked) == [("payments", poison[1].sequence_number)]
    assert [row.payment_id for row in world.rows(Webhook)] == [payment.id]
    assert len(orders(world)) == 1


def test_a_merchant_that_cannot_be_asked_for_now_makes_its_own_records_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, well = world.merchant(webhook_url=URL), world.merchant(webhook_url=URL)
    for merchant in (busy, well):
        world.paid(merchant)
    payments = world.payments()
    records = [record for payment in payments for record in records_of(world, payment)]
    read = MerchantProfiles.require

    def throttled(profiles: MerchantProfiles, merchant_id: str) -> MerchantProfile:
        if merchant_id == busy.id:
            raise Unavailable("throttled")
        return read(profiles, merchant_id)

    monkeypatch.setattr(MerchantProfiles, "require", throttled)
    told = {payment.merchant_id: f"{payment.id}-2" for payment in payments}
    assert projector(world).apply(records) == {told[busy.id]}
    assert [row.merchant_id for row in world.rows(Webhook)] == [well.id]
    monkeypatch.undo()
    assert projector(world).apply(records) == frozenset()
    assert len(world.rows(Webhook)) == len({order.id for order in orders(world)}) == 2


def test_with_faults_of_the_database_nothing_is_lost(world: World) -> None:
    merchant = world.merchant(webhook_url=URL)
    for number in range(5):
        world.paid(merchant, amount=100 + number)
    records = [record for payment in world.payments() for record in records_of(world, payment)]
    client = world.engine.dynamodb()
    Faults(seeded("webhooks", 0.3)).attach(client)
    assert projector(world, world.store_on(client)).apply(records) == frozenset()
    assert {order.id for order in orders(world)} == {row.id for row in world.rows(Webhook)}
    assert len(orders(world)) == 5


def test_a_put_whose_answer_was_lost_is_found_to_be_there(world: World) -> None:
    merchant = world.merchant(webhook_url=URL)
    world.paid(merchant)
    client = world.engine.dynamodb()
    Faults(at_call("PutItem", 1, Fault.ANSWER_LOST)).attach(client)
    store = world.store_on(client)
    assert projector(world, store).apply(records_of(world, world.payment())) == frozenset()
    assert len(world.rows(Webhook)) == len(orders(world)) == 1


def test_a_row_that_was_tried_already_is_not_ordered_again(world: World) -> None:
    merchant = world.merchant(webhook_url=URL)
    world.paid(merchant)
    records = records_of(world, world.payment())
    projector(world).apply(records)
    (row,) = world.rows(Webhook)
    tried = row.model_copy(update={"attempts": 1, "version": 2})
    world.store.update_alone(change(row, tried))
    projector(world).apply(records)
    assert len(orders(world)) == 1


def test_who_has_no_endpoint_or_does_not_exist_is_not_told(world: World) -> None:
    silent = world.merchant()
    world.paid(silent)
    records = records_of(world, world.payment())
    orphan = world.payment().model_copy(update={"merchant_id": "mer_nobody"})
    records += records_of(world, orphan)
    assert projector(world).apply(records) == frozenset()
    assert world.rows(Webhook) == []
    assert orders(world) == []


def test_a_refund_a_lock_and_an_alert_are_told_too(world: World) -> None:
    merchant = world.merchant(webhook_url=URL)
    payment_id = world.paid(merchant)
    world.operate(merchant, payment_id, "refund", amount=100)
    refund = next(row for row in world.rows(Transaction) if row.type == "refund")
    pending = refund.model_copy(update={"status": "pending", "version": refund.version - 1})
    customer_id = world.customer(merchant)
    customer = CustomerRepository(world.store).get(customer_id, EVERYBODY)
    assert customer is not None
    state = CustomerState(**customer.model_dump(include=set(CustomerState.model_fields)))
    locked = state.model_copy(
        update={"version": 2, "locked_until": to_instant(world.clock() + timedelta(minutes=30))}
    )
    alert = Alert(
        id="alr_1",
        merchant_bucket="b",
        everybody_bucket="e",
        listed_at="l",
        created_at=to_instant(world.clock()),
        merchant_id=merchant.id,
        type="large_transaction",  # type: ignore[arg-type]
        entity_id=payment_id,
        detail={"amount": 5},
    )
    changes: list[Any] = [(pending, refund), (state, locked), (None, alert)]
    told = projection(world)(
        [Change(Kind.MODIFY, str(n), old, new) for n, (old, new) in enumerate(changes)]
    )
    assert told == frozenset()
    rows = {row.event_type: row for row in world.rows(Webhook)}
    assert set(rows) == {"refund.succeeded", "account.locked", "alert.large_transaction"}
    assert rows["refund.succeeded"].payment_id == payment_id
    assert rows["alert.large_transaction"].payment_id == payment_id
    shown = json.loads(rows["account.locked"].payload)["data"]
    assert shown["id"] == customer_id
    assert set(shown) & set(Customer.model_fields) == set(shown)
    assert "email" not in shown
