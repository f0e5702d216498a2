"""`make trigger` makes every event, and the merchant's endpoint receives it, signed."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest
from standardwebhooks import Webhook as Verifier

from local.auth import MERCHANT_PERMISSIONS
from local.emulator.ports import free_port
from local.progress import Progress
from local.webhooks.fixtures import Fixtures
from local.webhooks.registration import DESCRIPTION, registered
from local.webhooks.trigger import MAKERS
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Receiver

pytestmark = pytest.mark.emulator("its endpoint is on this machine")


def test_every_event_is_made_and_received(deployment: Deployment) -> None:
    body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example"}
    merchant = deployment.operator.post("/v1/merchants", body).require(201)
    client = deployment.client(merchant["id"], *MERCHANT_PERMISSIONS)
    fixtures = Fixtures(client, deployment.operator, merchant["id"], Progress())
    with Receiver().running() as receiver:
        registration = registered(
            deployment.stack, deployment.workspace, merchant["id"], receiver.url
        )
        with registration as endpoint:
            made = {(event.value, maker(fixtures)) for event, maker in MAKERS.items()}
            verifier = Verifier(endpoint["secret"])
            deadline = time.monotonic() + PATIENCE_SECONDS
            missing = made
            while missing and time.monotonic() < deadline:
                time.sleep(0.2)
                events = [
                    verifier.verify(each.body, dict(each.headers)) for each in receiver.received
                ]
                missing = {
                    (kind, subject)
                    for kind, subject in made
                    if not any(
                        event["type"] == kind and subject in json.dumps(event["data"])
                        for event in events
                    )
                }
    assert missing == set()
    assert client.get("/v1/webhook-endpoints").require(200)["data"] == [], "it is deleted"


def test_the_endpoint_of_a_killed_listener_is_deleted_by_the_next_one(
    deployment: Deployment, shop: Shop
) -> None:
    own = {"url": f"http://127.0.0.1:{free_port()}/hooks"}
    abandoned = {**own, "description": DESCRIPTION}
    kept = shop.client.post("/v1/webhook-endpoints", own).require(201)
    shop.client.post("/v1/webhook-endpoints", abandoned).require(201)
    with (
        Receiver().running() as receiver,
        registered(deployment.stack, deployment.workspace, shop.merchant_id, receiver.url) as made,
    ):
        listed = shop.client.get("/v1/webhook-endpoints").require(200)["data"]
        assert {each["id"] for each in listed} == {kept["id"], made["id"]}
