"""The story of a payment, read from the deployed stage: one request id in each part, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from local.auth import MERCHANT_PERMISSIONS
from local.errors import LocalError
from operations.trace.command import local_target, read_story
from operations.trace.story import Step
from tests.e2e.conftest import Deployment
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.webhooks.receiver import Receiver

pytestmark = pytest.mark.emulator("it reads rows and logs of the local stage")

AUTHORIZED = {
    "amount": 1000,
    "currency": "USD",
    "payment_method": "tok_approved",
    "capture_method": "manual",
    "description": "for Erika Mustermann",
}


def _story(
    deployment: Deployment, identifier: str, is_complete: Callable[[list[Step]], bool]
) -> list[Step]:
    """The story, as soon as streams, queue and log have all of it."""
    target = local_target(deployment.stack)
    deadline = time.monotonic() + PATIENCE_SECONDS
    steps: list[Step] = []
    while time.monotonic() < deadline:
        try:
            steps = read_story(identifier, target, datetime.now(UTC), None)
        except LocalError:
            steps = []
        if is_complete(steps):
            return steps
        time.sleep(0.5)
    raise AssertionError(f"{identifier} has only this story: {steps}")


def _places(steps: list[Step], request_id: str) -> set[str]:
    return {step.where for step in steps if step.request_id == request_id}


def test_a_payment_with_a_capture_a_webhook_and_audit_rows_has_one_story(
    deployment: Deployment,
) -> None:
    with Receiver().running() as receiver:
        body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example"}
        body["webhook_url"] = receiver.url
        merchant = deployment.operator.post("/v1/merchants", body).require(201)
        client = deployment.client(merchant["id"], *MERCHANT_PERMISSIONS)
        authorized = client.post("/v1/payments", AUTHORIZED, key=uuid4().hex)
        payment = authorized.require(201)
        path = f"/v1/payments/{payment['id']}/capture"
        captured = client.post(path, {"amount": 800}, key=uuid4().hex)
        captured.require(200)
        first, second = (each.headers["x-request-id"] for each in (authorized, captured))
        # A run of the projection may have had changes of both requests in one batch.
        own_parts = {"process", "deliver", "audit", "webhook"}

        steps = _story(
            deployment,
            payment["id"],
            lambda steps: (
                own_parts <= _places(steps, first)
                and own_parts | {"posting"} <= _places(steps, second)
                and any(step.where == "project" for step in steps)
                and sum("HTTP 200, delivered" in step.what for step in steps) == 2
            ),
        )
        times = [step.at for step in steps]
        assert times == sorted(times)
        shown = [step.what for step in steps]
        order = [
            next(place for place, what in enumerate(shown) if what.startswith(begins))
            for begins in (
                f"payment_created {payment['id']}",
                f"payment_requires_capture {payment['id']}",
                "capture_succeeded txn_",
                "payment.succeeded whk_",
            )
        ]
        assert order == sorted(order), shown
        assert not any("Mustermann" in what for what in shown)

        everywhere = own_parts | {"posting", "project"}
        own = _story(deployment, second, lambda steps: everywhere <= _places(steps, second))
        assert {step.request_id for step in own} == {second}
        listed = client.get("/v1/audit", request_id=second).require(200)["data"]
        assert {row["request_id"] for row in listed} == {second}
        (webhook,) = [
            each
            for each in client.get("/v1/webhooks").require(200)["data"]
            if each["event_type"] == "payment.succeeded"
        ]
        assert webhook["request_id"] == second


def test_a_refused_request_is_in_the_log_alone(deployment: Deployment) -> None:
    answer = deployment.operator.get("/v1/payments/pay_unknown")
    request_id = answer.headers["x-request-id"]
    assert answer.status == 404
    (step,) = _story(deployment, request_id, bool)
    assert (step.where, step.request_id) == ("query", request_id)
    assert "refused" in step.what


def test_an_unknown_id_is_one_clear_message(deployment: Deployment) -> None:
    target = local_target(deployment.stack)
    with pytest.raises(LocalError, match="Nothing is known of req_nowhere"):
        read_story("req_nowhere", target, datetime.now(UTC), 1)
