"""Counts what a run of the canary uses: its own function, and those that answer its requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from benchmarks.bill.counted_stage import PARTNER_SECONDS, CountedStage
from benchmarks.bill.counted_stage import Use as Counted
from benchmarks.bill.counting import PARTNER_CPU_SECONDS, grown, stored_bytes, uses_of
from benchmarks.bill.shop import Shop
from operations.canary_merchant import PAYS, READS
from runtime.canary.client import USER_AGENT, ApiAnswer
from runtime.canary.credentials import CanaryCredentials
from runtime.core.fields import ProcessorMode
from runtime.functions.canary import CanaryServices, handler_for
from runtime.settings import LONGEST_RUN_SECONDS, CanarySettings
from simulation.platform.http import HttpRequest, token
from stacks.costs.canary import CANARY
from stacks.costs.uses import CanaryRun, Use
from tests.support.http import Context

RUNS: Final = 20
INTERVAL: Final = timedelta(minutes=15)
REQUEST_SECONDS: Final = 0.030
"""Assumed time of a request on the network and in API Gateway, besides its function's."""
_ID: Final = re.compile(r"/[a-z]+_\w+")


class CountedApi:
    """The API of a counted stage, as the canary calls it. Streams are derived while it waits."""

    def __init__(self, stage: CountedStage, credential: Any) -> None:
        self._stage, self._credential = stage, credential
        self.requests = 0
        self.routes: set[str] = set()

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> ApiAnswer:
        """Send one request, and count it."""
        url = urlsplit(path)
        self.requests += 1
        self.routes.add(f"{method} {_ID.sub('/{id}', url.path)}")
        headers = {"user-agent": USER_AGENT}
        if key is not None:
            headers["idempotency-key"] = key
        request = HttpRequest(
            CANARY,
            method,
            url.path,
            body,
            query=dict(parse_qsl(url.query)),
            headers=headers,
            credential=self._credential,
        )
        self._stage.clock.now += REQUEST_SECONDS
        answer = self._stage.api(request)
        return ApiAnswer(answer.status, answer.body)


class _Secret:
    """Secrets Manager with the canary's secret alone."""

    def __init__(self, stage: CountedStage, credentials: CanaryCredentials) -> None:
        self._stage, self._text = stage, credentials.model_dump_json()

    def secrets_manager(self) -> Any:
        """The client."""
        return self

    def get_secret_value(self, **_: Any) -> dict[str, str]:
        """The secret."""
        self._stage.clock.now += PARTNER_SECONDS["kms"]
        return {"SecretString": self._text}


def counted_canary(mode: ProcessorMode, client_cpu: float) -> CanaryRun:
    """A run of the canary of a stage in this mode, after its first.

    Raises RuntimeError if it fails.
    """
    shop = Shop(has_endpoint=False)
    stage = shop.stage
    merchant_id = shop.open_merchant(CANARY)
    permissions = READS if mode == "live" else PAYS
    api = CountedApi(stage, token(merchant_id, *permissions, subject=CANARY))
    run = _runs_of(stage, api, mode, merchant_id, shop.open_account(merchant_id))
    run(Counted())
    before, counted = stored_bytes(stage), Counted()
    stage.forget_uses()
    api.requests = 0
    for _ in range(RUNS):
        run(counted)
    calls = api.requests / RUNS + 1  # and that of its secret
    own = Use(
        invocations=1.0,
        secrets=1.0,
        log_bytes=counted.log_bytes / RUNS,
        waited_seconds=counted.waited / RUNS,
        cpu_seconds=calls * PARTNER_CPU_SECONDS,
    )
    return CanaryRun(
        alone={CANARY: own, **uses_of(stage, RUNS, client_cpu)},
        stored=tuple(grown(before, stored_bytes(stage), RUNS)),
        archived_bytes=stage.archived_bytes / RUNS,
        routes=tuple(sorted(api.routes)),
    )


def _runs_of(
    stage: CountedStage, api: CountedApi, mode: ProcessorMode, merchant_id: str, account_id: str
) -> Callable[[Counted], None]:
    """One run of the canary's real function, after an interval, added to a use."""
    credentials = CanaryCredentials(
        api_url="https://api.payments.example",
        merchant_id=merchant_id,
        account_id=account_id,
        api_key="counted",
        api_key_id="counted",
    )

    def sleep(seconds: float) -> None:
        ends = stage.clock.now + seconds
        stage.drain()
        stage.clock.now = max(stage.clock.now, ends)

    secret: Any = _Secret(stage, credentials)
    outside = replace(stage.outside, sleep=sleep, aws=secret)
    settings = CanarySettings(
        stage="counted", service=CANARY, tables={}, canary_secret_arn=CANARY, processors=mode
    )
    handler = handler_for(lambda: CanaryServices(settings, outside, api=lambda _: api))

    def run(counted: Counted) -> None:
        stage.clock.now += INTERVAL.total_seconds()
        began = stage.clock.now
        with stage.counted_log(counted):
            report = handler({"schedule": CANARY}, Context(LONGEST_RUN_SECONDS))  # type: ignore[arg-type]
        counted.waited += stage.clock.now - began
        stage.drain()
        if "failed" in report:
            raise RuntimeError(f"the canary failed: {report['failed']}")

    return run
