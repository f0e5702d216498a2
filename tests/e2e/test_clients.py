"""The generated clients, each as a program of its own, against the deployed stage."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from local.auth import MERCHANT_PERMISSIONS, Grant, token
from local.clients.build import Clients, build
from local.progress import Progress
from local.schedules import tick
from local.workspace import PROJECT_ROOT, Workspace
from tests.e2e.conftest import Deployment
from tests.support.clients.lossy_proxy import LossyProxy
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Received, Receiver

# Two generators and a compiler are installed for it.
pytestmark = [
    pytest.mark.deep,
    pytest.mark.emulator("its endpoints are on this machine, and it signs an expired token"),
]
TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def clients() -> Clients:
    return build(Workspace.find(), Progress())


@dataclass(frozen=True)
class Program:
    """`shop` in one of the languages."""

    command: list[str]

    def run(self, verb: str, **given: Any) -> dict[str, Any]:
        answer = subprocess.run(
            [*self.command, verb],
            input=json.dumps(given),
            capture_output=True,
            check=False,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        assert answer.returncode == 0, answer.stderr
        result: dict[str, Any] = json.loads(answer.stdout)
        return result


@pytest.fixture(params=["python", "typescript"])
def program(request: pytest.FixtureRequest, clients: Clients) -> Program:
    if request.param == "python":
        shop = PROJECT_ROOT / "tests" / "support" / "clients" / "shop.py"
        # -I: nothing of this directory, or of its environment, is importable.
        return Program([str(clients.python), "-I", str(shop)])
    return Program(["node", str(clients.node_package / "dist" / "tests" / "shop.js")])


def _webhook_of(receiver: Receiver, payment_id: str) -> Received:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for each in list(receiver.received):
            event = json.loads(each.body)
            if event["type"] == "payment.succeeded" and event["data"]["id"] == payment_id:
                return each
        time.sleep(0.2)
    raise AssertionError(f"no webhook of {payment_id} within {PATIENCE_SECONDS} s")


def test_a_shop_lives_with_the_client_alone(deployment: Deployment, program: Program) -> None:
    """Although the network loses the answers of its requests."""
    network = LossyProxy(deployment.stack.api_url)
    with Receiver().running() as receiver, network.running():
        new = {"name": "Shop", "email": f"{uuid4().hex}@shops.example"}
        body = {**new, "webhook_url": receiver.url}
        merchant = deployment.operator.post("/v1/merchants", body).require(201)
        merchant_id = merchant["id"]
        bearer = deployment.bearer(merchant_id, *MERCHANT_PERMISSIONS)
        grant = Grant(("payments",), merchant_id=merchant_id, ttl_seconds=-60)
        api = {"api_url": network.url, "token": bearer}
        sold = program.run("sell", **api, expired=token(grant, deployment.workspace))

        assert len(set(sold["paid"])) == 3
        assert sold["again"] == sold["paid"][0]
        assert sold["refunded"] == 300
        assert sold["listed"] == sold["paid"][::-1]
        assert sold.get("listed_async", sold["listed"]) == sold["listed"]
        # The stage's own schedule may have asked the sandbox between two of the attempts.
        assert sold["unknown"] in ("unknown", "succeeded")
        _must_be_typed(sold)

        # The sandbox has charged it; only its answer was lost.
        tick(deployment.stack, "resolver")
        received = _webhook_of(receiver, sold["paid"][1])
        webhook = {
            "body": received.body.decode(),
            "headers": dict(received.headers),
            "secret": merchant["webhook_secret"],
        }
        assert program.run("finish", **api, webhook=webhook) == {
            "status": "succeeded",
            "event": "payment.succeeded",
            "payment": sold["paid"][1],
        }
        client = deployment.client(merchant_id, "payments")
        found = client.get("/v1/payments").require(200)["data"]
        assert sorted(each["amount"] for each in found if each["status"] == "succeeded") == [
            1000,
            1001,
            1002,
            5000,
        ]
        (first,) = (each for each in found if each["amount"] == 1000)
        assert first["amount_refunded"] == 300
        # The refund's key was made by the client; every POST needed at least three attempts.
        assert len(network.attempts) == 8
        assert min(network.attempts.values()) >= 3


def _must_be_typed(sold: dict[str, Any]) -> None:
    declined, invalid, expired = sold["declined"], sold["invalid"], sold["expired"]
    assert (declined["type"], declined["status"]) == ("Declined", 402)
    assert (declined["code"], declined["decline_code"]) == ("declined", "insufficient_funds")
    assert declined["payment_id"].startswith("pay_")
    assert (invalid["type"], invalid["param"]) == ("InvalidRequest", "amount")
    assert (expired["type"], expired["code"]) == ("AuthenticationError", "unauthorized")
    assert all(each["request_id"] for each in (declined, invalid, expired))
