"""What a simulated stage at rest is made to log: lines that only failures bring about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from runtime.core.errors import IntegrityError, RateLimited, Unavailable
from runtime.functions import authorize, process, query
from runtime.reporting.exports import writing
from runtime.reporting.totals import compaction
from simulation.faults import PartnerRates
from simulation.partners.receivers import ReceiverRates
from simulation.platform.http import OPERATOR, HttpRequest, HttpResponse
from simulation.platform.settling import FINISHING
from tests.support.canary_world import CanaryWorld

if TYPE_CHECKING:
    from simulation.platform.world import Platform

DAY_SECONDS = 86_400.0
_keys = count(1)


def provoke(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring about each failure in turn."""
    for failure in (
        _refused_tokens,
        _a_limit,
        _an_unreadable_field,
        _endpoints_that_fail,
        _a_silent_processor,
        _runs_without_time,
        _an_export_that_fails,
        _totals_that_cannot_be_compacted,
        _files_that_never_come,
    ):
        with monkeypatch.context() as patched:
            failure(platform, patched)


def canary_runs() -> None:
    """A run of the canary that succeeds and one that fails; no simulated platform has a canary."""
    world = CanaryWorld(answer_seconds=0.5)
    assert world.run()["milliseconds"] == 500
    world.secret = None
    assert "failed" in world.run()


def _raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def _pay(platform: Platform) -> HttpResponse:
    assert platform.initial is not None
    shop = platform.initial.of("sandbox")[0]
    return platform.api(
        HttpRequest(
            "shop",
            "POST",
            "/v1/payments",
            body={"amount": 700, "currency": "USD", "payment_method": "tok_approved"},
            headers={"idempotency-key": f"provoked-{next(_keys)}"},
            credential=shop.credential,
        )
    )


def _run(platform: Platform, schedule: str) -> None:
    platform.sources.schedules[schedule].run_now()


def _refused_tokens(platform: Platform, patched: pytest.MonkeyPatch) -> None:
    request = HttpRequest("stranger", "GET", "/v1/payments", api_key="nonsense")
    assert platform.api(request).status == 401
    patched.setattr(authorize, "_judge", _raising(Unavailable("provoked")))
    assert platform.api(request).status == 503


def _a_limit(platform: Platform, patched: pytest.MonkeyPatch) -> None:
    limit = RateLimited("provoked", retry_after_seconds=1)
    patched.setitem(process.ROUTES.operations, "createPayment", _raising(limit))
    assert _pay(platform).status == 429


def _an_unreadable_field(platform: Platform, patched: pytest.MonkeyPatch) -> None:
    patched.setitem(query.ROUTES.operations, "listMerchants", _raising(IntegrityError("provoked")))
    request = HttpRequest("operator", "GET", "/v1/merchants", credential=OPERATOR)
    assert platform.api(request).status == 500


def _endpoints_that_fail(platform: Platform, _: pytest.MonkeyPatch) -> None:
    for rates in (ReceiverRates(error=1.0), ReceiverRates(error=0.0, gone=1.0)):
        platform.endpoints.rates = rates
        assert _pay(platform).status == 201
        platform.sleep(60.0)
    platform.endpoints.rates = ReceiverRates.calm()


def _a_silent_processor(platform: Platform, _: pytest.MonkeyPatch) -> None:
    platform.line = replace(PartnerRates.calm(), least=20.0, usual=20.0)  # above its timeout
    assert _pay(platform).status == 202
    platform.sleep(2 * 3_600.0)
    _run(platform, "resolver")
    platform.line = PartnerRates.calm()
    platform.sleep(3_600.0)
    for schedule in FINISHING:
        _run(platform, schedule)


def _runs_without_time(platform: Platform, _: pytest.MonkeyPatch) -> None:
    for schedule in ("poll", "missing"):
        function = platform.functions[schedule]
        seconds, function.seconds = function.seconds, 5.0
        _run(platform, schedule)
        function.seconds = seconds


def _an_export_that_fails(platform: Platform, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(writing, "MAX_TRIES", 0)
    request = HttpRequest(
        "operator",
        "POST",
        "/v1/exports",
        body={"kind": "transfers", "format": "csv"},
        headers={"idempotency-key": f"provoked-{next(_keys)}"},
        credential=OPERATOR,
    )
    assert platform.api(request).status == 202
    platform.sleep(600.0)


def _totals_that_cannot_be_compacted(platform: Platform, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(compaction, "_fold", _raising(Unavailable("provoked")))
    assert _pay(platform).status == 201
    platform.sleep(3 * DAY_SECONDS)
    _run(platform, "totals")


def _files_that_never_come(platform: Platform, _: pytest.MonkeyPatch) -> None:
    assert _pay(platform).status == 201
    platform.sleep(30 * DAY_SECONDS)  # longer than any merchant's deadline
    for _attempt in range(2):  # the index shows only the second one what the first one wrote
        _run(platform, "missing")
        platform.sleep(60.0)
