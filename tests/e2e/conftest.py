"""One deployed stack for all end-to-end tests, in a state directory and on a port of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.api_client import ApiClient
from local.auth import MERCHANT_PERMISSIONS, Grant, token
from local.aws import Clients
from local.cdk import STRIPE_VARIABLE
from local.deploy import down, up
from local.ports import HOST, free_port
from local.stackfile import Stack
from local.workspace import Workspace

STATE_DIRECTORY = Path(".local-e2e")

SUMMED_WITHIN_SECONDS = 20.0


@dataclass(frozen=True)
class Shop:
    """A merchant of its own for each test, and a client that may do all that merchants may."""

    merchant_id: str
    client: ApiClient

    def summary(self, payments: int, **totals: int) -> Any:
        """The summary, once the stream has told it of so many payments of USD with these sums."""
        deadline = time.monotonic() + SUMMED_WITHIN_SECONDS
        while True:
            summary = self.client.get("/v1/payments/summary").require(200)
            found = summary["by_currency"].get("USD", {})
            told = {name: found.get(name) for name in totals} == totals
            if (summary["total_count"] == payments and told) or time.monotonic() > deadline:
                return summary
            time.sleep(0.2)


@dataclass(frozen=True)
class Deployment:
    """The deployed stack and the ways to reach it."""

    workspace: Workspace
    stack: Stack
    aws: Clients

    @property
    def operator(self) -> ApiClient:
        return ApiClient.of_operator(self.stack, self.workspace)

    def bearer(self, merchant_id: str | None, *permissions: str) -> str:
        return token(Grant(permissions, merchant_id=merchant_id), self.workspace)

    def client(self, merchant_id: str, *permissions: str) -> ApiClient:
        return ApiClient.of_merchant(self.stack, self.workspace, merchant_id, *permissions)

    def shop(self, **settings: object) -> Shop:
        body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example", **settings}
        merchant = self.operator.post("/v1/merchants", body).require(201)
        return Shop(merchant["id"], self.client(merchant["id"], *MERCHANT_PERMISSIONS))


@pytest.fixture(scope="session")
def stripe_port() -> int:
    """Where the deployed stack looks for Stripe; nobody is there but during test_stripe.py."""
    return free_port()


@pytest.fixture(scope="session")
def deployment(stripe_port: int) -> Iterator[Deployment]:
    workspace = Workspace.find(STATE_DIRECTORY)
    down(workspace)
    with pytest.MonkeyPatch.context() as machine:
        machine.setenv(STRIPE_VARIABLE, f"http://{HOST}:{stripe_port}")
        # For the whole session: a command that looks elsewhere for Stripe would deploy again.
        stack = up(workspace, free_port())
        yield Deployment(workspace, stack, Clients(stack.aws_endpoint_url))
        down(workspace)


@pytest.fixture
def shop(deployment: Deployment) -> Shop:
    return deployment.shop()
