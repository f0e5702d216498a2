"""A restore rehearsed on the embedded AWS: what a torn restore loses is found, and rebuilt.

The embedded AWS copies a table as it is, whatever the instant. So the test removes from the copies
what a restore loses if the change stream was late: a total that lacks payments.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from local.progress import Progress
from operations.rebuild_totals import TotalsAreWrong, rebuild_totals
from operations.restore import RestoreTarget, restore
from runtime.tables import restored_table_name
from tests.e2e.conftest import Deployment, Shop
from tests.support.recoverable import Recoverable

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
STAGE = "local"


def _rows(deployment: Deployment, table: str) -> list[dict[str, Any]]:
    pages = deployment.aws.dynamodb.get_paginator("scan").paginate(TableName=table)
    return [row for page in pages for row in page["Items"]]


def _same_rows(deployment: Deployment, original: str, copy: str) -> bool:
    """Whether both have rows of the same keys; the stage works on meanwhile, so only these."""
    keys = deployment.aws.dynamodb.describe_table(TableName=original)["Table"]["KeySchema"]
    names = [each["AttributeName"] for each in keys]
    mine, theirs = (
        {tuple(str(row[name]) for name in names) for row in _rows(deployment, table)}
        for table in (original, copy)
    )
    return theirs <= mine


def test_a_torn_restore_is_found_and_rebuilt(
    deployment: Deployment,
    shop: Shop,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(3):
        shop.client.post("/v1/payments", SALE, key=str(number)).require(201)
    assert shop.summary(payments=3, captured=3000)["total_count"] == 3
    name = f"t{uuid4().hex[:8]}"
    aws = deployment.aws.dynamodb
    now = datetime.now(UTC)
    target = RestoreTarget(
        STAGE, deployment.stack.tables, Recoverable(aws, now), lambda _seconds: None
    )
    made = restore(target, now - timedelta(minutes=5), name, Progress())
    assert len(made) == len(deployment.stack.tables)
    copies = {role: restored_table_name(STAGE, role, name) for role in deployment.stack.tables}
    for role in ("payments", "transfers", "merchants"):
        assert _same_rows(deployment, deployment.stack.tables[role], copies[role])
    for setting, value in {
        "AWS_ENDPOINT_URL": deployment.stack.aws_endpoint_url,
        "AWS_ACCESS_KEY_ID": deployment.stack.access_key_id,
        "AWS_SECRET_ACCESS_KEY": deployment.stack.secret_access_key,
        "AWS_DEFAULT_REGION": deployment.stack.region,
    }.items():
        monkeypatch.setenv(setting, value)

    def totals(*, repair: bool) -> None:
        rebuild_totals(deployment.workspace, Progress(), repair=repair, stage=STAGE, restored=name)

    totals(repair=True)  # What was on its way when the tables were copied.
    aws.delete_item(
        TableName=copies["totals"],
        Key={
            "id": {"S": f"{shop.merchant_id}#000"},
            "item": {"S": f"{datetime.now(UTC).date()}#USD"},
        },
    )
    with pytest.raises(TotalsAreWrong):
        totals(repair=False)
    assert shop.merchant_id in capsys.readouterr().out
    totals(repair=True)
    totals(repair=False)
