"""One deployed stage for all end-to-end tests and all their processes.

It is a local one, on a port of its own; or with the variable E2E_STAGE (`make test-e2e STAGE=…`) a
stage that is deployed already, where the tests that need the emulator are skipped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from xdist.scheduler import LoadScopeScheduling

from local.api_client import ApiClient
from local.auth import MERCHANT_PERMISSIONS, Grant, token
from local.emulator.aws import Clients
from local.stackfile import Stack
from local.workspace import Workspace
from tests.support.stages.deployed_stage import Caller, remote_stack, remote_stage
from tests.support.stages.patience import PATIENCE_SECONDS
from tests.support.stages.shared_stage import ALONE, SharedStage

STATE_DIRECTORY = Path(".local-e2e")

GROUPS = {
    # They check the whole stage, and some of them plant errors in it. The first ones
    # read all merchants, whose number grows during the run.
    "test_totals.py": "whole-stage",
    "test_demo.py": "whole-stage",
    "test_ledger.py": "whole-stage",
    "test_alerts.py": "whole-stage",
    # They wait for schedules, leases and retries.
    "test_stack.py": "clocks",
    "test_webhooks.py": "clocks",
    # Each listens at the address at which the functions expect Stripe.
    "test_stripe.py": "stripe",
    "test_redaction.py": "stripe",
    "test_examples.py": "stripe",
}
"""Files that must not run at the same time, longest groups first; others are a group each."""
SPREAD = "test_fuzz.py"
"""A file whose tests may each run in any process; they fill the end of the run."""


@dataclass(frozen=True)
class Shop:
    """A merchant of its own for each test, and a client that may do all that merchants may."""

    merchant_id: str
    client: ApiClient

    def summary(self, payments: int, **totals: int) -> Any:
        """The summary, once the stream has counted this many USD payments with these sums."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            summary = self.client.get("/v1/payments/summary").require(200)
            found = summary["by_currency"].get("USD", {})
            reported = {name: found.get(name) for name in totals} == totals
            if (summary["total_count"] == payments and reported) or time.monotonic() > deadline:
                return summary
            time.sleep(0.2)


@dataclass(frozen=True)
class Deployment:
    """The deployed stack and the ways to reach it.

    On a stage that is deployed already, `caller` speaks for operators and merchants, and only
    `stack.api_url` and what the outputs have can be used.
    """

    workspace: Workspace
    stack: Stack
    aws: Clients
    stripe_port: int
    """Where its functions expect Stripe; only a running test listens there."""
    caller: Caller | None = None

    @property
    def operator(self) -> ApiClient:
        if self.caller is not None:
            return self.caller.operator
        return ApiClient.of_operator(self.stack, self.workspace)

    def bearer(self, merchant_id: str | None, *permissions: str) -> str:
        if self.caller is not None:
            return self.caller.bearer(merchant_id, permissions)
        return token(Grant(permissions, merchant_id=merchant_id), self.workspace)

    def client(self, merchant_id: str, *permissions: str) -> ApiClient:
        return ApiClient(self.stack.api_url, self.bearer(merchant_id, *permissions))

    def shop(self, **settings: object) -> Shop:
        body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example", **settings}
        merchant = self.operator.post("/v1/merchants", body).require(201)
        return Shop(merchant["id"], self.client(merchant["id"], *MERCHANT_PERMISSIONS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest first, so that no process has a long group left when the others have ended.

    On a stage that is deployed already, tests marked `emulator` are skipped with their reason.
    """
    for item in items if remote_stage() is not None else ():
        needed = item.get_closest_marker("emulator")
        if needed is not None:
            (reason,) = needed.args
            item.add_marker(pytest.mark.skip(reason=f"needs the emulator: {reason}"))
    order = {name: place for place, name in enumerate(GROUPS)}
    items.sort(key=lambda item: order.get(item.path.name, len(order) + (item.path.name == SPREAD)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Tests of one group run in one process, in order."""
    config.option.loadscopereorder = False
    return _InGroups(config, log)


class _InGroups(LoadScopeScheduling):
    """By file, because xdist's own groups, by mark, do nothing under this version of pytest."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0]).name
        return nodeid if file == SPREAD else GROUPS.get(file, file)


@pytest.fixture(scope="session")
def deployment(request: pytest.FixtureRequest, testrun_uid: str) -> Iterator[Deployment]:
    remote = remote_stage()
    if remote is not None:
        stack = remote_stack(remote)
        # Their clients reach no AWS account: tests that need one are marked.
        nothing = Clients(stack.aws_endpoint_url)
        workspace = Workspace.find(STATE_DIRECTORY)
        yield Deployment(workspace, stack, nothing, 0, Caller.from_environment(stack.api_url))
        return
    process = getattr(request.config, "workerinput", {}).get("workerid", ALONE)
    stage = SharedStage(Workspace.find(STATE_DIRECTORY), testrun_uid, process)
    with stage.used() as (stack, stripe_port):
        aws = Clients(stack.aws_endpoint_url)
        yield Deployment(stage.workspace, stack, aws, stripe_port)


@pytest.fixture
def aws_shell(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the stage as they find one in AWS: by the shell's variables and its outputs."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", deployment.stack.aws_endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", deployment.stack.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", deployment.stack.secret_access_key)
    monkeypatch.setenv("AWS_DEFAULT_REGION", deployment.stack.region)


@pytest.fixture
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()
