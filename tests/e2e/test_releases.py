"""A rehearsal of a rollback: an earlier release is deployed and today's again, while people pay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from rich.console import Console

from local.api_client import ApiClient
from local.auth import MERCHANT_PERMISSIONS
from local.deploy import down, up
from local.emulator.ports import free_port
from local.progress import Progress
from local.stackfile import Stack
from local.workspace import Workspace
from operations.verify_ledger import run_ledger_verification
from runtime.verification.rules import RunKind
from tests.e2e.conftest import Shop
from tests.support.stages.releases import EARLIER, Releases
from tests.support.stages.steady_sales import CURRENT, SteadySales

pytestmark = [
    pytest.mark.deep,  # three deployments
    pytest.mark.emulator("it deploys a stage of its own"),
]

STATE_DIRECTORY = Path(".local-releases")
QUIET = Progress(Console(quiet=True), live=False)


@pytest.fixture
def stage() -> Iterator[tuple[Workspace, Stack]]:
    """Of its own: other tests must not meet the earlier release."""
    workspace = Workspace.find(STATE_DIRECTORY)
    down(workspace)  # what a killed run has left
    try:
        yield workspace, up(workspace, free_port())
    finally:
        down(workspace)


def _shop(workspace: Workspace, stack: Stack) -> Shop:
    operator = ApiClient.of_operator(stack, workspace)
    body = {"name": "Shop", "email": f"{uuid4().hex}@shops.example"}
    merchant_id = operator.post("/v1/merchants", body).require(201)["id"]
    client = ApiClient.of_merchant(stack, workspace, merchant_id, *MERCHANT_PERMISSIONS)
    return Shop(merchant_id, client)


def _listed(client: ApiClient) -> list[str]:
    """Ids of all payments of the merchant."""
    ids: list[str] = []
    page = client.get("/v1/payments", limit=100).require(200)
    while True:
        ids.extend(each["id"] for each in page["data"])
        if not page["has_more"]:
            return ids
        page = client.get("/v1/payments", limit=100, cursor=page["next_cursor"]).require(200)


def test_payments_go_on_while_an_earlier_release_is_deployed_and_todays_again(
    stage: tuple[Workspace, Stack],
) -> None:
    workspace, stack = stage
    shop, releases = _shop(workspace, stack), Releases(workspace, QUIET)
    sales = SteadySales(shop.client)
    with sales.going_on():
        sales.await_release(CURRENT)
        releases.deploy_earlier()
        sales.await_release(EARLIER)
        releases.deploy_current()
        sales.await_release(CURRENT)
    ids = [payment["id"] for payment in sales.payments.values()]
    assert len(set(ids)) == len(ids), "no payment was answered for two sales"
    captured = 1_000 * len(ids)
    summary = shop.summary(len(ids), captured=captured)
    assert summary["total_count"] == len(ids)
    assert summary["by_currency"]["USD"]["captured"] == captured
    assert sorted(_listed(shop.client)) == sorted(ids), "each accepted payment is there once"
    for payment in sales.payments.values():
        found = shop.client.get(f"/v1/payments/{payment['id']}").require(200)
        assert (found["status"], found["amount_captured"]) == ("succeeded", 1_000)
        assert [each["type"] for each in found["transactions"]] == ["capture"]
    run_ledger_verification(workspace, QUIET, kind=RunKind.FULL, restart=False)
