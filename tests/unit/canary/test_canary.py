"""The canary's runs: whole, twice, at once, late, half-way, and when something is wrong."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.canary.client import ApiAnswer
from runtime.settings import CANARY_FAILED, CANARY_MILLISECONDS, CANARY_SUCCEEDED
from tests.support.canary_api import Died
from tests.support.canary_world import CREDENTIALS, EVENT, CanaryWorld


@pytest.fixture
def world() -> CanaryWorld:
    return CanaryWorld()


def _payments(world: CanaryWorld) -> list[tuple[int, int]]:
    return [(p["amount_captured"], p["amount_refunded"]) for p in world.api.payments.values()]


def test_a_run_pays_one_unit_and_refunds_it(world: CanaryWorld) -> None:
    report = world.run()
    assert report == {"run": "canary-20261201T120000Z", "payment_id": "pay_1", "milliseconds": 0}
    assert _payments(world) == [(1, 1)]
    assert list(world.api.stored) == [report["run"], f"{report['run']}-refund"]
    assert world.api_urls == ["https://api.example"]


def test_a_run_that_is_delivered_twice_pays_once(world: CanaryWorld) -> None:
    assert world.run() == world.run()
    assert _payments(world) == [(1, 1)]


def test_the_next_run_is_another_payment(world: CanaryWorld) -> None:
    world.run()
    world.run({**EVENT, "time": "2026-12-01T12:15:00Z"})
    assert _payments(world) == [(1, 1), (1, 1)]


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/payments/pay_1/refund"])
def test_a_run_that_died_after_a_request_is_finished_by_its_retry(
    world: CanaryWorld, path: str
) -> None:
    world.api.dies_after = {path}
    with pytest.raises(Died):
        world.run()
    assert world.run()["payment_id"] == "pay_1"
    assert _payments(world) == [(1, 1)]


def test_two_runs_at_once_wait_for_each_other(world: CanaryWorld) -> None:
    """The API answers 409 while another request with the key is in flight."""
    in_flight = ApiAnswer(409, {"code": "idempotency_in_flight"})
    world.api.answers = {"/v1/payments": [in_flight, in_flight]}
    assert world.run()["payment_id"] == "pay_1"
    assert world.waited == 4.0, "two pauses"
    assert _payments(world) == [(1, 1)]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(world: CanaryWorld) -> None:
    world.api.answers = {"/v1/payments": [ApiAnswer(None, problem="no answer (ReadTimeout)")]}
    assert world.run()["payment_id"] == "pay_1"
    assert _payments(world) == [(1, 1)]


def test_a_run_that_is_too_late_does_nothing(world: CanaryWorld) -> None:
    world.began_after = timedelta(minutes=16)
    assert world.run() == {"run": "canary-20261201T120000Z", "skipped": "it began 960 s late"}
    assert world.api.sent == []
    world.began_after = timedelta(minutes=14)
    assert world.run()["payment_id"] == "pay_1"


def test_a_run_without_a_time_is_a_run_of_its_own(world: CanaryWorld) -> None:
    world.began_after = timedelta(hours=3)
    assert world.run({"schedule": "canary"})["run"] == "canary-20261201T150000Z"


def test_a_run_waits_until_the_statement_shows_both(world: CanaryWorld) -> None:
    world.api.lag = 3
    assert world.run()["payment_id"] == "pay_1"
    assert world.waited == 6.0


def test_a_statement_that_never_shows_them_fails_the_run(world: CanaryWorld) -> None:
    world.api.lag = 1_000
    failed = world.run()["failed"]
    assert failed == "statement: trf_capture2, trf_refund3 missing after 60 s"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"amount": -28}, "statement: trf_capture2 is shown with -28, not -29"),
        ({}, "statement: trf_capture2 is shown with -29, again"),
    ],
)
def test_a_statement_with_a_wrong_or_repeated_entry_fails_the_run(
    world: CanaryWorld, entry: dict[str, Any], said: str
) -> None:
    world.run()
    wrong = next(each for each in world.api.entries if each["transfer_id"] == "trf_capture2")
    if entry:
        wrong.update(entry)
    else:
        world.api.entries.append(dict(wrong))
    assert world.run()["failed"] == said


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (
            "/v1/payments",
            ApiAnswer(500, {"code": "internal", "detail": "secret"}),
            "POST /v1/payments: 500 internal, not 201",
        ),
        ("/v1/payments", ApiAnswer(202, {"status": "unknown"}), "POST /v1/payments: 202, not 201"),
        (
            "/v1/payments",
            ApiAnswer(201, {"id": "pay_9", "merchant_id": "mer_other", "amount": 1}),
            "payment: merchant_id is 'mer_other', not 'mer_canary'; currency is None, not 'USD'; "
            "amount_captured is None, not 1",
        ),
        (
            "/v1/payments/pay_1",
            ApiAnswer(200, {"amount_captured": 1, "amount_refunded": 0}),
            "refunded payment: amount_refunded is 0, not 1",
        ),
        (
            "/v1/payments/pay_1",
            ApiAnswer(200, {"amount_captured": 1, "amount_refunded": 1, "transactions": []}),
            "refunded payment: its transactions are ",
        ),
    ],
)
def test_an_unexpected_answer_fails_the_run(
    world: CanaryWorld, path: str, answer: ApiAnswer, said: str
) -> None:
    world.api.answers = {path: [answer]}
    assert world.run()["failed"] == said


def test_an_api_that_does_not_answer_fails_the_run_before_the_timeout(world: CanaryWorld) -> None:
    silent = ApiAnswer(None, problem="no answer (ConnectTimeout)")
    world.api.answers = {"/v1/payments": [silent] * 10}
    assert world.run()["failed"] == "POST /v1/payments: no answer (ConnectTimeout), not 201"
    assert len(world.api.sent) == 5


def test_with_live_payments_a_run_only_reads(world: CanaryWorld) -> None:
    world.mode = "live"
    assert world.run()["payment_id"] is None
    assert all(each.startswith("GET ") for each in world.api.sent)
    assert world.api.stored == {}
    world.api.account["balance"] = 5
    assert world.run()["failed"] == "account: balance is 5, not 0"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (None, "arn:secret cannot be read (ResourceNotFoundException); make it: "),
        ("not JSON", "arn:secret is not JSON; make it: "),
        (json.dumps({**CREDENTIALS, "api_url": "http://api.example"}), "has no valid api_url; "),
        (json.dumps({**CREDENTIALS, "api_key": ""}), "arn:secret has no valid api_key; "),
    ],
)
def test_without_credentials_a_run_fails_and_says_what_to_do(
    world: CanaryWorld, secret: str | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    world.secret = secret
    failed = world.run()["failed"]
    assert said in failed
    assert failed.endswith("make canary-merchant STAGE=staging")
    assert world.api.sent == []
    assert "sk_secret" not in failed


def test_the_log_says_how_a_run_went_in_the_words_of_the_metrics(
    world: CanaryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, dict[str, Any]]] = []
    noted = SimpleNamespace(
        info=lambda message, **keys: lines.append((message, keys)),
        error=lambda message, **keys: lines.append((message, keys)),
    )
    monkeypatch.setattr("runtime.functions.canary.logger", noted)
    world.run()
    world.secret = None
    world.run()
    (succeeded, reported), (failed, reason) = lines
    assert (succeeded, failed) == (CANARY_SUCCEEDED, CANARY_FAILED)
    assert isinstance(reported[CANARY_MILLISECONDS], int)
    assert "sk_secret" not in str(lines)
    assert reason["run"] == "canary-20261201T120000Z"
