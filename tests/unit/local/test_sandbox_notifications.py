"""Disputes of `make trigger`: signed notifications, under a secret that the sandbox is given."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local.api_client import ApiClient, Reply
from local.errors import LocalError
from local.progress import Progress
from local.webhooks.fixtures import Fixtures
from local.webhooks.sandbox_notifications import SECRET, dispute
from runtime.payments.processors.sandbox.events import SandboxEvent, read_sandbox_event

PAYMENT = {"id": "pay_1", "amount": 700, "currency": "EUR"}


class FakeApi(ApiClient):
    """Answers payments, and notifications once the merchant's sandbox has the secret."""

    def __init__(self, *, configured: bool, result: str = "applied", status: int = 200) -> None:
        super().__init__("http://api.invalid", None)
        self.configured, self.result, self.status = configured, result, status
        self.paid: list[Any] = []
        self.patched: list[Any] = []
        self.notified: list[SandboxEvent] = []

    def get(self, path: str, **query: str | int) -> Reply:
        assert path == "/v1/merchants/mer_1"
        return answer(200, {"version": 7})

    def post(self, path: str, body: Any, key: str | None = None) -> Reply:
        self.paid.append(body)
        return answer(201, PAYMENT)

    def send(self, method: str, path: str, **options: Any) -> Reply:
        if method == "PATCH":
            self.configured = True
            self.patched.append(options["json"])
            return answer(200, {})
        assert (path, options["params"]) == (
            "/v1/processor-events/sandbox",
            {"merchant_id": "mer_1"},
        )
        if not self.configured:
            return answer(401, {"detail": "another secret"})
        if self.status != 200:
            return answer(self.status, {"detail": "The notification is not valid: see fee"})
        config = {"webhook_secret": SECRET}
        read = read_sandbox_event(
            options["headers"], options["content"], config, datetime.now(tz=UTC)
        )
        self.notified.append(read)
        return answer(200, {"id": read.id, "result": self.result})


def answer(status: int, body: Any) -> Reply:
    return Reply(status, {}, json.dumps(body))


def fixtures(api: FakeApi, **data: Any) -> Fixtures:
    return Fixtures(api, api, "mer_1", Progress(), data)


def test_an_opened_dispute_is_one_notification_about_a_new_payment() -> None:
    api = FakeApi(configured=True)
    assert dispute(fixtures(api, amount=700, currency="EUR", fee=9)) == "pay_1"
    [paid], [event] = api.paid, api.notified
    assert (paid["amount"], paid["currency"]) == (700, "EUR")
    assert (event.type, event.reference) == ("dispute_opened", "pay_1")
    assert (event.amount, event.currency, event.fee) == (700, "EUR", 9)
    assert api.patched == []


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_a_decided_dispute_is_opened_first(outcome: str) -> None:
    api = FakeApi(configured=True)
    dispute(fixtures(api, reinstated=5), outcome)
    assert [event.type for event in api.notified] == ["dispute_opened", f"dispute_{outcome}"]
    assert [event.reinstated for event in api.notified] == [None, 5]
    assert len({event.dispute_id for event in api.notified}) == 1
    assert len({event.id for event in api.notified}) == 2


def test_a_sandbox_with_another_secret_is_configured_once() -> None:
    api = FakeApi(configured=False)
    dispute(fixtures(api), "lost")
    assert api.patched == [{"version": 7, "processor_config": {"webhook_secret": SECRET}}]
    assert len(api.notified) == 2


def test_a_notification_that_is_refused_or_changes_nothing_says_so() -> None:
    with pytest.raises(LocalError, match="not valid: see fee"):
        dispute(fixtures(FakeApi(configured=True, status=400), fee=-1))
    with pytest.raises(LocalError, match="it is kept"):
        dispute(fixtures(FakeApi(configured=True, result="kept"), currency="EUR"))
