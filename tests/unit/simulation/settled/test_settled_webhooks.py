"""Webhooks of a platform at rest, on handwritten commits."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from simulation.watch.settled.webhooks import webhook_faults
from tests.support.simulation.commits import HandMade


class Received(NamedTuple):
    webhook_id: str
    body: bytes
    status: int | None = 204


def reported(webhook_id="whk_1", status=204, **more):
    body = {"id": webhook_id, "type": "payment.succeeded", "sequence": 2, **more}
    body.setdefault("data", {"id": "pay_1"})
    return Received(webhook_id, json.dumps(body).encode(), status)


@pytest.fixture
def engine():
    made = HandMade()
    made.commit(merchants={"id": "mer_1", "version": 1, "webhook_url": "https://x"})
    paid = {"id": "pay_1", "merchant_id": "mer_1", "amount": 0, "updated_at": "then"}
    made.commit(payments={**paid, "version": 1, "status": "processing"})
    made.commit(payments={**paid, "version": 2, "status": "succeeded"})
    return made


def deliver(engine, status="delivered", **more):
    row = {"id": "whk_1", "version": 1, "status": "pending", "created_at": "then"}
    row |= {"merchant_id": "mer_1", "event_type": "payment.succeeded", "sequence": 2, **more}
    engine.commit(webhooks=row)
    engine.commit(webhooks={**row, "version": 2, "status": status})


def webhooks(engine, *received):
    return list(webhook_faults(engine.rules.news, received))


def test_each_event_is_delivered(engine):
    deliver(engine)
    engine.commit(webhooks={"id": "whk_1", "deleted": True})
    assert webhooks(engine, reported(status=500), reported()) == []


def test_an_event_without_an_endpoint_has_no_delivery(engine):
    engine.commit(merchants={"id": "mer_1", "version": 2, "webhook_url": None})
    assert webhooks(engine) == []


def test_an_undelivered_event_is_found(engine):
    assert len(webhooks(engine)) == 1


def disputed(engine, **statuses):
    """The payment's next version has disputes with these statuses."""
    row = {"id": "pay_1", "merchant_id": "mer_1", "amount": 0, "updated_at": "then"}
    row |= {"version": 3, "status": "succeeded"}
    disputes = {name: {"status": status} for name, status in statuses.items()}
    engine.commit(payments={**row, "disputes": disputes})


def dispute_event(kind, webhook_id="whk_2", dispute="dp_1"):
    data = {"id": "pay_1", "dispute": {"id": dispute}}
    return reported(webhook_id, type=kind, sequence=3, data=data)


def test_an_event_of_a_dispute_is_delivered(engine):
    deliver(engine)
    disputed(engine, dp_1="lost")
    deliver(engine, id="whk_2", event_type="dispute.opened", sequence=3)
    assert len(webhooks(engine, reported(), dispute_event("dispute.opened"))) == 1
    deliver(engine, id="whk_3", event_type="dispute.lost", sequence=3)
    lost = dispute_event("dispute.lost", "whk_3")
    assert webhooks(engine, reported(), dispute_event("dispute.opened"), lost) == []


def test_an_event_of_another_dispute_is_found(engine):
    deliver(engine)
    disputed(engine, dp_1="opened")
    deliver(engine, id="whk_2", event_type="dispute.opened", sequence=3)
    wrong = dispute_event("dispute.opened", dispute="dp_2")
    assert len(webhooks(engine, reported(), wrong)) == 1


def test_a_delivery_without_an_event_is_found(engine):
    deliver(engine, sequence=9)
    assert len(webhooks(engine, reported(sequence=9))) == 3


@pytest.mark.parametrize(
    ("status", "received"),
    [
        ("delivered", []),
        ("delivered", [reported(status=500)]),
        ("pending", [reported()]),
        ("expired", [reported(status=500)]),
        ("delivered", [reported(), reported(extra=1)]),
        ("delivered", [reported(), reported("whk_2")]),
        ("delivered", [reported(data={"id": "pay_2"})]),
    ],
    ids=[
        "never sent",
        "never taken",
        "still pending",
        "given up",
        "two bodies",
        "invented",
        "about another",
    ],
)
def test_a_delivery_that_contradicts_the_endpoint_is_found(engine, status, received):
    deliver(engine, status)
    assert len(webhooks(engine, *received)) == 1
