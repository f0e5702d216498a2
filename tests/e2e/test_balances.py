"""Balances of the deployed stage's hot accounts, checked by the command."""

from __future__ import annotations

import pytest

from local.progress import Progress
from operations.rebuild_balances import rebuild_balances
from tests.e2e.conftest import Deployment, Shop

pytestmark = pytest.mark.emulator("it reads or edits the tables behind the API")

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


@pytest.mark.usefixtures("aws_shell")
def test_the_hot_accounts_have_all_transfers_in_the_local_stage_and_in_a_named_one(
    deployment: Deployment, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.client.post("/v1/payments", SALE, key="1").require(201)
    rebuild_balances(deployment.workspace, Progress(), repair=False, stage=None)
    rebuild_balances(deployment.workspace, Progress(), repair=True, stage="local")
    assert capsys.readouterr().out.count("The hot accounts have all of their transfers.") == 2
