"""`make trigger` makes every event, and the merchant's endpoint receives it, signed."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest
from standardwebhooks import Webhook as Verifier

from local.auth import MERCHANT_PERMISSIONS
from local.progress import Progress
from local.webhooks.fixtures import Fixtures
from local.webhooks.registration import registered
from local.webhooks.trigger import MAKERS
from tests.e2e.conftest import Deployment
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
        with registration as before:
            made = {(event.value, maker(fixtures)) for event, maker in MAKERS.items()}
            verifier = Verifier(merchant["webhook_secret"])
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
    assert before is None
    assert client.get(f"/v1/merchants/{merchant['id']}").require(200)["webhook_url"] is None
