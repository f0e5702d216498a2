"""Events of the change streams become deliveries, each once, however often its record arrives."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from runtime.alerts.models import Alert
from runtime.core.errors import DecryptionFailure, Unavailable
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.customers.models import Customer, CustomerState
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.expressions import change
from runtime.dynamodb.store import Store
from runtime.encryption.models import DataKey
from runtime.functions.composition.projector import Projector
from runtime.merchants.repository import MerchantRepository
from runtime.merchants.webhook_endpoints import EndpointDirectory, EndpointEntry
from runtime.payments.models import Dispute, DisputeStatus, Payment
from runtime.payments.transaction_models import Transaction
from runtime.streams.records import Change, Kind, StreamRecord
from runtime.webhooks.delivery_queue import DeliveryOrder, DeliveryQueue
from runtime.webhooks.due_deliveries import DueDeliveriesDependencies, queue_due
from runtime.webhooks.models import Webhook, WebhookStatus
from runtime.webhooks.projection import WebhookProjection
from runtime.webhooks.repository import WebhookRepository
from tests.support.engines.faults import Fault, Faults, at_call, seeded
from tests.support.fakes import ParkingLot
from tests.support.platform import Platform, at_once

URL = "https://hooks.example/in"
DEADLINE = timedelta(days=3)
TABLES = ("accounts", "alerts", "customers", "payments", "transactions", "transfers")


def projection(
    platform: Platform,
    store: Store | None = None,
    parking: ParkingLot | None = None,
    decryption_failed: Callable[[DecryptionFailure], None] = lambda _: None,
) -> WebhookProjection:
    return WebhookProjection(
        store=store or platform.store,
        merchants=MerchantRepository(store or platform.store),
        queue=DeliveryQueue(platform.sqs, "queue"),  # type: ignore[arg-type]
        outside=platform.outside,
        request_id=lambda: "invocation",
        deadline=DEADLINE,
        parking=parking or ParkingLot(),
        decryption_failed=decryption_failed,
    )


def projector(
    platform: Platform,
    store: Store | None = None,
    parking: ParkingLot | None = None,
    decryption_failed: Callable[[DecryptionFailure], None] = lambda _: None,
) -> Projector:
    parking = parking or ParkingLot()
    mine = projection(platform, store, parking, decryption_failed)
    return Projector(platform.store.codec, dict.fromkeys(TABLES, (mine,)), lambda _: False, parking)


def orders(platform: Platform) -> list[DeliveryOrder]:
    return [DeliveryOrder.model_validate_json(each["MessageBody"]) for each in platform.sqs.batched]


def records_of(platform: Platform, payment: Payment) -> list[StreamRecord]:
    """A payment's two versions as records of its stream."""
    intent = payment.model_copy(
        update={"version": payment.version - 1, "status": "processing", "merchant_bucket": None}
    )
    to_item = platform.store.codec.to_item
    return [
        StreamRecord("payments", Kind.INSERT, f"{payment.id}-1", None, to_item(intent)),
        StreamRecord("payments", Kind.MODIFY, f"{payment.id}-2", to_item(intent), to_item(payment)),
    ]


def shuffled(dice: random.Random, records: Sequence[StreamRecord]) -> list[list[StreamRecord]]:
    several = [each for each in records for _ in range(dice.randint(1, 3))]
    dice.shuffle(several)
    return [several[start : start + 7] for start in range(0, len(several), 7)]


def test_a_payment_becomes_one_encrypted_delivery_and_one_message(either_world: Platform) -> None:
    platform = either_world
    merchant = platform.merchant(webhook_url=URL, index_buckets=4)
    platform.paid(merchant, metadata={"order": "4711"})
    payment = platform.payment()
    at = platform.clock()
    assert projector(platform).apply(records_of(platform, payment)) == frozenset()
    (row,) = platform.rows(Webhook)
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
    assert row.next_retry > to_timestamp(at + timedelta(seconds=59))
    assert row.expires_at - to_epoch_seconds(at + DEADLINE) in (0, 1)
    assert row.request_id == payment.request_id
    assert orders(platform) == [
        DeliveryOrder(id=row.id, version=1, merchant_id=merchant.id, request_id=payment.request_id)
    ]
    assert platform.sqs.batched[0]["MessageGroupId"] == merchant.id
    stored = platform.client.get_item(
        TableName=platform.tables["webhooks"], Key={"id": {"S": row.id}}, ConsistentRead=True
    )["Item"]
    assert "4711" not in str(stored)


def test_a_merchant_whose_data_key_cannot_be_decrypted_is_reported_and_its_record_is_retried(
    platform: Platform,
) -> None:
    merchant = platform.merchant(webhook_url=URL)
    platform.merchant(webhook_url=URL)  # another merchant, whose key is copied over the first one's
    platform.paid(merchant)
    keys = {row.subject: row for row in platform.rows(DataKey)}
    mine = keys.pop(f"pii#{merchant.id}")
    other = next(row for subject, row in keys.items() if subject.startswith("pii#mer_"))
    platform.put(mine.model_copy(update={"wrapped": other.wrapped}))
    platform.forget_keys()
    reported: list[DecryptionFailure] = []
    records = records_of(platform, platform.payment())
    failed = projector(platform, decryption_failed=reported.append).apply(records)
    assert failed == {records[-1].sequence_number}
    assert len(reported) == 1
    assert platform.rows(Webhook) == []


def test_repeated_unordered_and_concurrent_records_make_one_row_each(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    merchant = platform.merchant(webhook_url=URL)
    for number in range(6):
        platform.paid(merchant, amount=100 + number)
    payments = platform.payments()
    records = [record for payment in payments for record in records_of(platform, payment)]
    work = [
        lambda n=n: [
            projector(platform).apply(each) for each in shuffled(random.Random(n), records)
        ]
        for n in range(3)
    ]
    for outcome in at_once(*work):
        assert not isinstance(outcome, Exception), outcome
        assert set(outcome) == {frozenset()}
    rows = platform.rows(Webhook)
    assert sorted(row.payment_id or "" for row in rows) == [payment.id for payment in payments]
    assert {order.id for order in orders(platform)} == {row.id for row in rows}


def test_each_status_of_a_dispute_makes_one_delivery_however_often_its_record_arrives(
    platform: Platform,
) -> None:
    merchant = platform.merchant(webhook_url=URL)
    platform.paid(merchant)
    paid = platform.payment()
    opened = Dispute(status=DisputeStatus.OPENED, amount=400, withdrawn=400, fee=15)
    lost = Dispute(status=DisputeStatus.LOST, amount=100, withdrawn=100)
    known = ({"dp_1": opened}, {"dp_1": opened, "dp_2": lost})
    records, before = [], paid
    for disputes in known:
        after = before.model_copy(update={"version": before.version + 1, "disputes": disputes})
        old, new = (platform.store.codec.to_item(each) for each in (before, after))
        records.append(StreamRecord("payments", Kind.MODIFY, f"{after.version}", old, new))
        before = after
    for _ in range(2):
        assert projector(platform).apply(records) == frozenset()
    bodies = [json.loads(row.payload) for row in platform.rows(Webhook)]
    assert sorted((body["type"], body["data"]["dispute"]["id"]) for body in bodies) == [
        ("dispute.lost", "dp_2"),
        ("dispute.opened", "dp_1"),
        ("dispute.opened", "dp_2"),
    ]
    assert {row.payment_id for row in platform.rows(Webhook)} == {paid.id}
    first = next(body for body in bodies if body["data"]["dispute"]["id"] == "dp_1")
    assert (first["sequence"], first["data"]["dispute"]["fee"]) == (paid.version + 1, 15)


def test_an_outage_of_the_queue_blocks_no_stream_and_the_sweep_sends_the_rest(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    merchant = platform.merchant(webhook_url=URL)
    for number in range(5):
        platform.paid(merchant, amount=100 + number)
    records = [
        record for payment in platform.payments() for record in records_of(platform, payment)
    ]
    platform.sqs.available = False
    assert projector(platform).apply(records) == frozenset()
    rows = platform.rows(Webhook)
    assert len(rows) == 5
    assert orders(platform) == []
    assert "webhooks are queued again when due" in caplog.messages
    platform.sqs.available = True
    platform.clock.advance(121)
    queue = DeliveryQueue(platform.sqs, "queue")  # type: ignore[arg-type]
    deps = DueDeliveriesDependencies(
        WebhookRepository(platform.store), queue, platform.outside, lambda: False
    )
    assert queue_due(deps).queued == 5
    assert {order.id for order in orders(platform)} == {row.id for row in rows}


def test_a_merchant_that_cannot_be_read_does_not_block_others(platform: Platform) -> None:
    broken, well = platform.merchant(webhook_url=URL), platform.merchant(webhook_url=URL)
    for merchant in (broken, well, broken):
        platform.paid(merchant)
    payments = sorted(platform.payments(), key=lambda each: each.id)
    records = [record for payment in payments for record in records_of(platform, payment)]
    platform.client.update_item(
        TableName=platform.tables["merchants"],
        Key={"id": {"S": broken.id}},
        UpdateExpression="SET webhook_url = :wrong",
        ExpressionAttributeValues={":wrong": {"N": "1"}},
    )
    parking = ParkingLot()
    assert projector(platform, parking=parking).apply(records) == frozenset()
    assert [row.merchant_id for row in platform.rows(Webhook)] == [well.id]
    assert set(parking.parked) == {
        ("payments", f"{payment.id}-2") for payment in payments if payment.merchant_id == broken.id
    }


def test_a_merchant_with_an_id_too_long_for_a_key_does_not_block_others(platform: Platform) -> None:
    """DynamoDB limits a partition key to 2,048 bytes; such a row was written out of band."""
    merchant = platform.merchant(webhook_url=URL)
    platform.paid(merchant)
    payment = platform.payment()
    foreign = payment.model_copy(update={"id": "pay_foreign", "merchant_id": "m" * 2_100})
    poison, good = records_of(platform, foreign), records_of(platform, payment)
    parking = ParkingLot()
    records = [good[0], poison[0], poison[1], good[1]]
    assert projector(platform, parking=parking).apply(records) == frozenset()
    assert list(parking.parked) == [("payments", poison[1].sequence_number)]
    assert [row.payment_id for row in platform.rows(Webhook)] == [payment.id]
    assert len(orders(platform)) == 1


def test_a_merchant_that_is_temporarily_unreadable_has_its_own_records_retried(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, well = platform.merchant(webhook_url=URL), platform.merchant(webhook_url=URL)
    for merchant in (busy, well):
        platform.paid(merchant)
    payments = platform.payments()
    records = [record for payment in payments for record in records_of(platform, payment)]
    read = MerchantRepository.endpoint_directory

    def throttled(merchants: MerchantRepository, merchant_id: str) -> EndpointDirectory | None:
        if merchant_id == busy.id:
            raise Unavailable("throttled")
        return read(merchants, merchant_id)

    monkeypatch.setattr(MerchantRepository, "endpoint_directory", throttled)
    reported = {payment.merchant_id: f"{payment.id}-2" for payment in payments}
    assert projector(platform).apply(records) == {reported[busy.id]}
    assert [row.merchant_id for row in platform.rows(Webhook)] == [well.id]
    monkeypatch.undo()
    assert projector(platform).apply(records) == frozenset()
    assert len(platform.rows(Webhook)) == len({order.id for order in orders(platform)}) == 2


def test_nothing_is_lost_under_database_faults(platform: Platform) -> None:
    merchant = platform.merchant(webhook_url=URL)
    for number in range(5):
        platform.paid(merchant, amount=100 + number)
    records = [
        record for payment in platform.payments() for record in records_of(platform, payment)
    ]
    client = platform.engine.dynamodb()
    Faults(seeded("webhooks", 0.3)).attach(client)
    assert projector(platform, platform.store_on(client)).apply(records) == frozenset()
    assert {order.id for order in orders(platform)} == {row.id for row in platform.rows(Webhook)}
    assert len(orders(platform)) == 5


def test_a_put_with_a_lost_answer_is_recognized(platform: Platform) -> None:
    merchant = platform.merchant(webhook_url=URL)
    platform.paid(merchant)
    client = platform.engine.dynamodb()
    Faults(at_call("PutItem", 1, Fault.ANSWER_LOST)).attach(client)
    store = platform.store_on(client)
    assert projector(platform, store).apply(records_of(platform, platform.payment())) == frozenset()
    assert len(platform.rows(Webhook)) == len(orders(platform)) == 1


def test_a_delivery_that_was_attempted_is_not_queued_again(platform: Platform) -> None:
    merchant = platform.merchant(webhook_url=URL)
    platform.paid(merchant)
    records = records_of(platform, platform.payment())
    projector(platform).apply(records)
    (row,) = platform.rows(Webhook)
    tried = row.model_copy(update={"attempts": 1, "version": 2})
    platform.store.update_alone(change(row, tried))
    projector(platform).apply(records)
    assert len(orders(platform)) == 1


def test_a_merchant_without_an_endpoint_gets_no_delivery(platform: Platform) -> None:
    silent = platform.merchant()
    platform.paid(silent)
    records = records_of(platform, platform.payment())
    orphan = platform.payment().model_copy(update={"merchant_id": "mer_unknown"})
    records += records_of(platform, orphan)
    assert projector(platform).apply(records) == frozenset()
    assert platform.rows(Webhook) == []
    assert orders(platform) == []


def test_a_batch_costs_one_read_per_merchant_and_one_write_per_delivery(platform: Platform) -> None:
    filtered = {
        "whe_sales": ("payment.succeeded",),
        "whe_refunds": ("refund.succeeded",),
        "whe_all": (),
    }
    entries = tuple(
        EndpointEntry(id=name, url=URL, events=events, version=1)
        for name, events in filtered.items()
    )
    shops = [platform.merchant(webhook_endpoints=entries) for _ in range(2)]
    for number in range(6):
        platform.paid(shops[number % 2], amount=100 + number)
    records = [
        record for payment in platform.payments() for record in records_of(platform, payment)
    ]
    client, calls = platform.engine.dynamodb(), Counter[str]()
    Faults(lambda operation, _: calls.update([operation])).attach(client)
    assert projector(platform, platform.store_on(client)).apply(records) == frozenset()
    by_endpoint = Counter(row.endpoint_id for row in platform.rows(Webhook))
    assert by_endpoint == {"whe_sales": 6, "whe_all": 6}
    assert calls == {"GetItem": len(shops), "PutItem": by_endpoint.total()}


def test_a_refund_a_lock_and_an_alert_are_delivered_too(platform: Platform) -> None:
    merchant = platform.merchant(webhook_url=URL)
    payment_id = platform.paid(merchant)
    platform.operate(merchant, payment_id, "refund", amount=100)
    refund = next(row for row in platform.rows(Transaction) if row.type == "refund")
    pending = refund.model_copy(update={"status": "pending", "version": refund.version - 1})
    customer_id = platform.customer(merchant)
    customer = CustomerRepository(platform.store).get(customer_id, UNRESTRICTED)
    assert customer is not None
    state = CustomerState(**customer.model_dump(include=set(CustomerState.model_fields)))
    locked = state.model_copy(
        update={
            "version": 2,
            "locked_until": to_timestamp(platform.clock() + timedelta(minutes=30)),
        }
    )
    alert = Alert(
        id="alr_1",
        merchant_bucket="b",
        everybody_bucket="e",
        listed_at="l",
        created_at=to_timestamp(platform.clock()),
        merchant_id=merchant.id,
        type="large_transaction",  # type: ignore[arg-type]
        entity_id=payment_id,
        detail={"amount": 5},
    )
    changes: list[Any] = [(pending, refund), (state, locked), (None, alert)]
    reported = projection(platform)(
        [Change(Kind.MODIFY, str(n), old, new) for n, (old, new) in enumerate(changes)]
    )
    assert reported == frozenset()
    rows = {row.event_type: row for row in platform.rows(Webhook)}
    assert set(rows) == {"refund.succeeded", "account.locked", "alert.large_transaction"}
    assert rows["refund.succeeded"].payment_id == payment_id
    assert rows["alert.large_transaction"].payment_id == payment_id
    shown = json.loads(rows["account.locked"].payload)["data"]
    assert shown["id"] == customer_id
    assert set(shown) & set(Customer.model_fields) == set(shown)
    assert "email" not in shown
