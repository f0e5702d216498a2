"""Totals of the deployed stage: kept by its own stream, checked and repaired by the command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local.progress import Progress
from local.schedules import tick
from operations.rebuild_totals import TotalsAreWrong, rebuild_totals
from tests.e2e.conftest import Deployment, Shop

pytestmark = pytest.mark.emulator("it reads or edits the tables behind the API")

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}


def check(deployment: Deployment, *, repair: bool = False, stage: str | None = None) -> None:
    rebuild_totals(deployment.workspace, Progress(), repair=repair, stage=stage)


@pytest.mark.usefixtures("aws_shell")
def test_totals_match_the_payments_and_a_wrong_total_is_reported_and_repaired(
    deployment: Deployment, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    # Other tests of this stage have put records of nonexistent payments on the stream.
    check(deployment, repair=True)
    for number in range(3):
        shop.client.post("/v1/payments", SALE, key=str(number)).require(201)
    assert shop.summary(payments=3)["by_currency"]["USD"]["captured"] == 3000
    check(deployment)
    answer, _ = tick(deployment.stack, "totals")
    assert answer["finished"]
    key: dict[str, Any] = {
        "id": {"S": f"{shop.merchant_id}#000"},
        "item": {"S": f"{datetime.now(UTC).date()}#USD"},
    }
    deployment.aws.dynamodb.update_item(
        TableName=deployment.stack.tables["totals"],
        Key=key,
        UpdateExpression="ADD captured :wrong",
        ExpressionAttributeValues={":wrong": {"N": "500"}},
    )
    with pytest.raises(TotalsAreWrong):
        check(deployment)
    group = f"{shop.merchant_id} {key['item']['S'].replace('#', ' ')}"
    wrong = "captured: expected 30.00 USD, found 35.00 USD, wrong"
    assert f"{group}: {wrong}" in capsys.readouterr().out
    check(deployment, repair=True)
    check(deployment, stage="local")
    assert shop.summary(payments=3)["by_currency"]["USD"]["captured"] == 3000
