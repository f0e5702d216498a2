"""A load test finds what the API answered wrongly, and nothing wrong in a right one."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import httpx
import pytest
from rich.console import Console

from local.errors import LocalError
from local.progress import Progress
from operations.load.client import Habits
from operations.load.measurements import percentile
from operations.load.pacing import Pace, paced
from operations.load.report import print_report
from operations.load.requests import Operation
from operations.load.run import Plan, Result, plan_of, run
from tests.unit.operations.fake_api import FakeApi

HASTY = Habits(impatient_share=0.3, repeated_share=0.5, first_pause_seconds=0.0)
PLAN = Plan(Pace(rate=4_000, seconds=0.05, clients=4), HASTY, 0.0, 0.0)
"""Some 200 requests, as fast as they go; nothing is waited for."""
TOTALS = "totals add up the payments"
RECEIVABLE = "the merchant's account has what is left"
REPEATED = "repeated requests got the same answer"
PAYMENTS = "payments exist as answered"
ANSWERED = "most requests got an answer"
KINDS = "answers are of the expected kind"
BALANCES = "balances moved by the answers"
STATEMENTS = "statements add up to balances"
TRANSFERS = "transfers exist as answered"


def loaded(api: FakeApi, plan: Plan = PLAN) -> Result:
    return run(plan, api.target(), Progress(Console(file=io.StringIO())))


def failed(result: Result) -> dict[str, tuple[str, ...]]:
    return {check.name: check.problems for check in result.checks if not check.holds}


def printed(result: Result) -> str:
    console = Console(file=io.StringIO(), width=150)
    print_report(console, PLAN.pace, result)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_check_holds_for_an_api_that_answers_rightly() -> None:
    api = FakeApi()
    result = loaded(api)
    assert failed(result) == {}
    assert result.unknown == []
    compared: Mapping[str, int] = {check.name: check.counted for check in result.checks}
    assert compared[PAYMENTS] == len(api.payments) > 50
    assert compared[TRANSFERS] == len(api.transfers) > 10
    assert compared[REPEATED] > 20
    assert set(result.measured.attempts) == set(Operation)
    assert result.paced.started <= sum(result.measured.attempts.values())


class LosesPayments(FakeApi):
    """Declined ones, on which no client operates later."""

    def charge(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = super().charge(body)
        if answer[0] == 402:
            self.payments.popitem()
        return answer


class ChargesTwice(FakeApi):
    """A repeated request is done again, although it gets the first answer."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        key = request.headers.get("idempotency-key")
        if (request.url.path, key) in self.answers and request.url.path == "/v1/payments":
            self.do(request)
        return super().handle(request)


class AnswersDifferently(FakeApi):
    def handle(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle(request)
        if "idempotent-replayed" in answer.headers:
            return httpx.Response(answer.status_code, text=answer.text + " ")
        return answer


class HidesRefunds(FakeApi):
    """The answers to refunds are right; whoever reads a payment sees none of them."""

    def found(self, row: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        return super().found(row and _without_refunds(row))

    def page(
        self, request: httpx.Request, rows: list[dict[str, Any]]
    ) -> tuple[int, dict[str, Any]]:
        return super().page(request, [_without_refunds(row) for row in rows])


def _without_refunds(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "amount_refunded": 0} if "amount_refunded" in row else row


class CapturesLess(FakeApi):
    def operate(
        self, row: dict[str, Any], verb: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        less = {"amount": body["amount"] - 1} if verb == "capture" else body
        return super().operate(row, verb, less)


class MovesOnlyTheDebit(FakeApi):
    def transfer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = super().transfer(body)
        if len(self.transfers) == 10:
            self.balances[body["to_account_id"]] -= body["amount"]
        return answer


class LosesAnEntry(FakeApi):
    def transfer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = super().transfer(body)
        if len(self.transfers) == 10:
            self.entries[body["to_account_id"]].pop()
        return answer


class TransfersTheWrongAmount(FakeApi):
    def transfer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return super().transfer({**body, "amount": body["amount"] + 1})


class CountsTooMany(FakeApi):
    def summary(self) -> dict[str, Any]:
        summary = super().summary()
        for sums in summary["by_currency"].values():
            sums["count"] += 1
        return summary


class OwesTooMuch(FakeApi):
    def balance(self, account: str) -> int:
        return super().balance(account) + account.startswith("acc_receivable_")


class ForbidsRefunds(FakeApi):
    def operate(
        self, row: dict[str, Any], verb: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if verb == "refund":
            return 403, {"code": "forbidden"}
        return super().operate(row, verb, body)


@pytest.mark.parametrize(
    ("api", "checks"),
    [
        (LosesPayments, {PAYMENTS}),
        (ChargesTwice, {PAYMENTS}),
        (AnswersDifferently, {REPEATED}),
        (HidesRefunds, {PAYMENTS, TOTALS}),
        (CapturesLess, {PAYMENTS, KINDS}),
        (MovesOnlyTheDebit, {BALANCES, STATEMENTS}),
        (LosesAnEntry, {STATEMENTS}),
        (TransfersTheWrongAmount, {TRANSFERS, KINDS, BALANCES}),
        (CountsTooMany, {TOTALS}),
        (OwesTooMuch, {RECEIVABLE}),
        (ForbidsRefunds, {KINDS}),
    ],
)
def test_a_fault_is_found_by_its_checks(api: type[FakeApi], checks: set[str]) -> None:
    result = loaded(api())
    found = failed(result)
    assert set(found) == checks
    shown = printed(result)
    assert all(f"{name}: {problems[0][:40]}" in shown for name, problems in found.items())


class LosesAnswers(FakeApi):
    """Every third request is done, and its answer is lost."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle(request)
        if len(self.seen) % 3 == 0:
            raise httpx.ReadTimeout("lost", request=request)
        return answer


class IsBusy(FakeApi):
    """Every third request is refused for now."""

    refusals = ((503, "unavailable"), (429, ""), (409, "idempotency_in_flight"), (202, ""))

    def handle(self, request: httpx.Request) -> httpx.Response:
        number, turn = divmod(len(self.seen), 3)
        if turn == 0:
            status, code = self.refusals[number % len(self.refusals)]
            return httpx.Response(status, json={"code": code})
        return super().handle(request)


@pytest.mark.parametrize(
    ("api", "kinds"),
    [
        (LosesAnswers, ("no answer within 35 s",)),
        (IsBusy, ("503 unavailable", "429", "409 idempotency_in_flight", "202")),
    ],
)
def test_what_is_not_answered_is_repeated_until_it_is(
    api: type[FakeApi], kinds: tuple[str, ...]
) -> None:
    result = loaded(api(), replace(PLAN, patience_seconds=60.0))
    assert failed(result) == {}
    assert result.unknown == []
    shown = printed(result)
    assert all(kind in shown for kind in kinds)


class NeverAnswersRefunds(FakeApi):
    """Refunds are done; their answers never arrive."""

    def handle(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle(request)
        if request.url.path.endswith(("/refund", "/transfers")) and request.method == "POST":
            raise httpx.RemoteProtocolError("closed", request=request)
        return answer


def test_outcomes_that_stay_unknown_are_listed_and_not_taken_for_faults() -> None:
    result = loaded(NeverAnswersRefunds())
    assert failed(result) == {}
    assert {each.operation for each in result.unknown} == {Operation.REFUND, Operation.TRANSFER}
    assert f"Unknown outcomes: {len(result.unknown)}" in printed(result)


def test_a_stage_that_answers_next_to_nothing_fails() -> None:
    class AnswersNoPost(FakeApi):
        def handle(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                return httpx.Response(503, json={"code": "unavailable"})
            return super().handle(request)

    result = loaded(AnswersNoPost())
    assert set(failed(result)) == {ANSWERED}


def test_an_api_that_cannot_be_read_afterwards_is_an_error_and_not_a_pass() -> None:
    class Gone(FakeApi):
        def handle(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

    with pytest.raises(LocalError, match="could not read /v1/payments"):
        loaded(Gone(), replace(PLAN, pace=Pace(100, 0.05, 2)))


def test_a_merchants_token_makes_no_transfers() -> None:
    api = FakeApi(wallets=0)
    target = replace(api.target(), merchant_id=None, is_own_merchant=False)
    result = run(PLAN, target, Progress(Console(file=io.StringIO())))
    assert failed(result) == {}
    assert {check.name for check in result.checks} == {KINDS, REPEATED, ANSWERED, PAYMENTS}
    assert {each.url.path.split("/")[2] for each in api.seen} == {"payments"}


def test_everything_that_is_created_names_the_run() -> None:
    api = FakeApi()
    loaded(api)
    for request in api.seen:
        if request.url.path in ("/v1/payments", "/v1/transfers") and request.method == "POST":
            metadata = json.loads(request.content)["metadata"]
            key = request.headers["idempotency-key"]
            assert metadata == {"load_run": "run-1", "load_key": key}


def test_requests_are_started_at_the_rate_whatever_they_do() -> None:
    seen: list[float] = []
    done = paced(Pace(1_000, 0.2, 4), lambda dice: seen.append(dice.random()), "seed")
    assert done.started == len(seen) == len(set(seen))
    assert 100 < done.started < 300


def test_an_error_of_the_test_itself_stops_it() -> None:
    def broken(_: Random) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        paced(Pace(1_000, 60.0, 2), broken, "seed")


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0), (0.1, 1.0)]
)
def test_percentiles_are_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], percent) == expected


def test_a_higher_rate_gets_more_clients() -> None:
    clients = [plan_of(rate, 1, None).pace.clients for rate in (1, 50, 10_000)]
    assert clients == [8, 100, 256]
    assert plan_of(50, 1, 3).pace.clients == 3
