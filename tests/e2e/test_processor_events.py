"""Notifications through the gateway: without a token, with the processor's signature."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from local.errors import LocalError
from local.progress import Progress
from operations.apply_processor_events import apply_processor_events
from runtime.payments.processors.sandbox.events import SIGNATURE_HEADER, sign_sandbox_event
from tests.e2e.conftest import Deployment, Shop
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Receiver

SECRET = "a secret of the sandbox"
SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


def test_a_signed_dispute_is_accepted_without_a_token_and_an_unsigned_one_is_not(
    deployment: Deployment,
) -> None:
    shop = deployment.shop(processor_config={"webhook_secret": SECRET})
    paid = shop.client.post("/v1/payments", SALE, key="one").require(201)
    event = {
        "id": "evt_1",
        "type": "dispute_opened",
        "created": int(time.time()),
        "reference": paid["id"],
        "dispute_id": "dp_1",
        "amount": 400,
        "currency": "USD",
        "fee": 15,
    }
    body = json.dumps(event).encode()
    url = f"{deployment.stack.api_url}/v1/processor-events/sandbox?merchant_id={shop.merchant_id}"
    json_body = {"content-type": "application/json"}
    unsigned = httpx.post(url, content=body, headers=json_body, timeout=30)
    assert unsigned.status_code == 401
    assert unsigned.json()["code"] == "bad_signature"
    signature = sign_sandbox_event(body, SECRET, int(time.time()))
    signed = httpx.post(
        url, content=body, headers={**json_body, SIGNATURE_HEADER: signature}, timeout=30
    )
    assert (signed.status_code, signed.json()) == (200, {"id": "evt_1", "result": "applied"})
    read = shop.client.get(f"/v1/payments/{paid['id']}").require(200)
    assert read["dispute_status"] == "opened"
    refused = shop.client.post(f"/v1/payments/{paid['id']}/refund", {"amount": 601}, key="two")
    assert refused.require(422)["code"] == "amount_too_large"


@pytest.mark.emulator("its command is for the local stage")
def test_the_command_applies_kept_events_once_they_can_be_applied(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = deployment.shop(processor_config={"webhook_secret": SECRET})
    paid = shop.client.post("/v1/payments", SALE, key="one").require(201)
    about = {"reference": paid["id"], "dispute_id": "dp_1", "amount": 400}
    assert tell(deployment, shop, id="evt_1", currency="EUR", **about)["result"] == "kept"
    with pytest.raises(LocalError, match="could not be applied"):
        apply_processor_events(deployment.workspace, Progress(), stage=None)
    tell(deployment, shop, id="evt_2", currency="USD", silent=True, **about)
    assert "EUR" in capsys.readouterr().out
    apply_processor_events(deployment.workspace, Progress(), stage=None)
    assert "applied" in capsys.readouterr().out
    read = shop.client.get(f"/v1/payments/{paid['id']}").require(200)
    assert read["dispute_status"] == "opened"


@pytest.mark.emulator("its endpoints are on this machine")
def test_a_dispute_reaches_the_endpoints_that_take_its_event_signed(
    deployment: Deployment,
) -> None:
    with Receiver().running() as all_events, Receiver().running() as won_only:
        shop = deployment.shop(
            processor_config={"webhook_secret": SECRET}, webhook_url=all_events.url
        )
        wanted = {"url": won_only.url, "events": ["dispute.won"]}
        endpoint = shop.client.post("/v1/webhook-endpoints", wanted).require(201)
        paid = shop.client.post("/v1/payments", SALE, key="one").require(201)
        about = {"reference": paid["id"], "amount": 400, "currency": "USD", "fee": 15}
        tell(deployment, shop, id="evt_1", dispute_id="dp_1", **about)
        repeated = tell(deployment, shop, id="evt_2", dispute_id="dp_1", **about)
        assert repeated["result"] == "unchanged"
        tell(deployment, shop, id="evt_3", dispute_id="dp_1", type="dispute_won", **about)
        tell(deployment, shop, id="evt_4", dispute_id="dp_2", type="dispute_lost", **about)
        received = disputes_received(all_events, count=4)
        assert sorted((kind, data["dispute"]["id"]) for kind, _, data in received) == [
            ("dispute.lost", "dp_2"),
            ("dispute.opened", "dp_1"),
            ("dispute.opened", "dp_2"),
            ("dispute.won", "dp_1"),
        ]
        [(kind, sequence, data)] = disputes_received(won_only, count=1)
        [request] = won_only.received
        Verifier(endpoint["secret"]).verify(request.body, dict(request.headers))
        assert (kind, sequence, data["id"]) == ("dispute.won", data["version"], paid["id"])
        opened_at = data["dispute"].pop("opened_at")
        assert opened_at <= data["updated_at"]
        assert data["dispute"] == {
            "id": "dp_1",
            "status": "won",
            "amount": 400,
            "amount_withdrawn": 400,
            "amount_returned": 400,
            "fee": 15,
            "currency": "USD",
        }
        events = shop.client.get(f"/v1/payments/{paid['id']}/timeline").require(200)["events"]
        shown = [each["title"] for each in events if each["kind"] == "webhook"]
        assert {"dispute.opened", "dispute.won", "dispute.lost"} <= set(shown)


def disputes_received(receiver: Receiver, count: int) -> list[tuple[str, int, Any]]:
    """Type, sequence and data of the events of disputes, once there are as many."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        bodies = [json.loads(each.body) for each in list(receiver.received)]
        found = [each for each in bodies if each["type"].startswith("dispute.")]
        if len(found) >= count or time.monotonic() > deadline:
            return [(each["type"], each["sequence"], each["data"]) for each in found]
        time.sleep(0.2)


def tell(deployment: Deployment, shop: Shop, **event: Any) -> Any:
    """A signed notification, of an opened dispute unless it says another type; its response."""
    now = int(time.time())
    body = json.dumps({"type": "dispute_opened", "created": now, **event}).encode()
    url = f"{deployment.stack.api_url}/v1/processor-events/sandbox?merchant_id={shop.merchant_id}"
    headers = {
        "content-type": "application/json",
        SIGNATURE_HEADER: sign_sandbox_event(body, SECRET, now),
    }
    answer = httpx.post(url, content=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()
