"""One run of the canary: pay, refund and find both in the ledger; with live payments only read.

A run repeats nothing, however often and however late in itself it begins again: its idempotency
keys are made from the schedule's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from runtime.canary.client import ApiAnswer, CanaryApi
from runtime.canary.rules import (
    REPEATED,
    UnexpectedAnswer,
    expected_entries,
    missing_entries,
    payment_request,
    require,
    require_payment,
    require_refunded,
    statement_path,
)
from runtime.settings import CANARY_AMOUNT_MINOR

ATTEMPTS: Final = 5
"""Of one request that is answered "again later", or not at all."""


@dataclass(frozen=True)
class CanaryDependencies:
    """The API, the canary's own merchant and account, and time.

    `ends` is on the clock `monotonic`: nothing is sent again after it.
    """

    api: CanaryApi
    merchant_id: str
    account_id: str
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    ends: float
    ledger_seconds: float
    retry_seconds: float


@dataclass(frozen=True)
class CanaryReport:
    """What a run found. `milliseconds`: how long the first answer that matters took."""

    payment_id: str | None
    milliseconds: int


def pay_and_refund(run: str, deps: CanaryDependencies) -> CanaryReport:
    """Pay one minor unit, refund it, and wait until the ledger shows both.

    Raises:
        UnexpectedAnswer: an answer differs from the expected one, or the ledger lacks an entry.
    """
    began = deps.monotonic()
    payment = _send(deps, "POST", "/v1/payments", HTTPStatus.CREATED, payment_request(run), run)
    milliseconds = _since(began, deps)
    require_payment(payment, deps.merchant_id)
    path = f"/v1/payments/{payment['id']}"
    refund = {"amount": CANARY_AMOUNT_MINOR}
    _send(deps, "POST", f"{path}/refund", HTTPStatus.OK, refund, f"{run}-refund")
    refunded = _send(deps, "GET", path)
    require_refunded(refunded)
    _await_entries(expected_entries(refunded), deps)
    return CanaryReport(payment["id"], milliseconds)


def read_only(deps: CanaryDependencies) -> CanaryReport:
    """Read the health, the canary's account and its summary, and change nothing.

    Raises:
        UnexpectedAnswer: an answer differs from the expected one.
    """
    require("health", {"status": "ok"}, _send(deps, "GET", "/v1/health"))
    began = deps.monotonic()
    account = _send(deps, "GET", f"/v1/accounts/{deps.account_id}")
    milliseconds = _since(began, deps)
    expected = {"id": deps.account_id, "merchant_id": deps.merchant_id, "balance": 0}
    require("account", expected, account)
    summary = _send(deps, "GET", "/v1/payments/summary")
    require("summary", {"total_count": 0}, summary)
    return CanaryReport(None, milliseconds)


def _send(
    deps: CanaryDependencies,
    method: str,
    path: str,
    status: HTTPStatus = HTTPStatus.OK,
    body: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Mapping[str, Any]:
    """The body of the answer `status`. Repeats the request, with its key, as clients do."""
    answer = ApiAnswer(None, problem="not sent")
    for attempt in range(ATTEMPTS):
        if attempt:
            if deps.monotonic() >= deps.ends:
                break
            deps.sleep(deps.retry_seconds)
        answer = deps.api.send(method, path, body, key)
        if answer.status == status:
            return answer.body
        if answer.status is not None and answer.status not in REPEATED:
            break
    raise UnexpectedAnswer(f"{method} {path}: {answer.summary}, not {int(status)}")


def _await_entries(expected: Mapping[str, int], deps: CanaryDependencies) -> None:
    """Entries are derived from a change stream, usually within a second."""
    began = deps.monotonic()
    deadline = min(began + deps.ledger_seconds, deps.ends)
    while True:
        missing = missing_entries(expected, _entries(deps))
        if not missing:
            return
        if deps.monotonic() >= deadline:
            waited = _since(began, deps) / 1_000
            raise UnexpectedAnswer(f"statement: {', '.join(missing)} missing after {waited:g} s")
        deps.sleep(deps.retry_seconds)


def _entries(deps: CanaryDependencies) -> list[Mapping[str, Any]]:
    """The statement. Its account is derived with the first entry, and absent before that."""
    path = statement_path(deps.merchant_id)
    answer = deps.api.send("GET", path)
    if answer.status == HTTPStatus.NOT_FOUND:
        return []
    body = answer.body if answer.status == HTTPStatus.OK else _send(deps, "GET", path)
    return list(body["data"])


def _since(began: float, deps: CanaryDependencies) -> int:
    return round((deps.monotonic() - began) * 1_000)
