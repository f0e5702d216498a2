"""A restore rehearsed on the embedded AWS: what a torn restore loses is found, and rebuilt.

The embedded AWS copies a table as it is, whatever the instant. So the test removes from the copies
what a restore loses if the change stream was late: a total that lacks payments.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.progress import Progress
from operations.audit.target import deployed_target
from operations.rebuild_totals import TotalsAreWrong, rebuild_totals
from operations.restore import RestoreTarget, restore
from runtime.tables import restored_table_name
from tests.e2e.conftest import Deployment, Shop
from tests.support.recoverable import Recoverable

pytestmark = [
    pytest.mark.deep,  # every table is copied, and every total counted again
    pytest.mark.emulator("it restores the tables behind the API"),
]

SALE = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved"}
STAGE = "local"


@pytest.fixture
def name(deployment: Deployment) -> Iterator[str]:
    """A name for a restore, whose tables are deleted afterwards."""
    name = f"t{uuid4().hex[:8]}"
    yield name
    aws = deployment.aws.dynamodb
    pages = aws.get_paginator("list_tables").paginate()
    copies = {restored_table_name(STAGE, role, name) for role in deployment.stack.tables}
    for table in copies.intersection(each for page in pages for each in page["TableNames"]):
        aws.update_table(TableName=table, DeletionProtectionEnabled=False)
        aws.delete_table(TableName=table)


def _keys(deployment: Deployment, table: str) -> set[tuple[str, ...]]:
    """The keys of all rows of a table."""
    aws = deployment.aws.dynamodb
    schema = aws.describe_table(TableName=table)["Table"]["KeySchema"]
    names = [each["AttributeName"] for each in schema]
    pages = aws.get_paginator("scan").paginate(TableName=table)
    return {
        tuple(str(*row[name].values()) for name in names) for page in pages for row in page["Items"]
    }


@pytest.mark.usefixtures("aws_shell")
def test_a_torn_restore_is_found_and_rebuilt(
    deployment: Deployment, shop: Shop, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = [shop.client.post("/v1/payments", SALE, key=str(number)) for number in range(3)]
    paid = {(each.require(201)["id"],) for each in answers}
    assert shop.summary(payments=3, captured=3000)["total_count"] == 3
    aws = deployment.aws.dynamodb
    for table in deployment.stack.tables.values():
        # The embedded AWS does not apply this property of the templates.
        aws.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    now = datetime.now(UTC)
    target = RestoreTarget(
        STAGE, deployment.stack.tables, Recoverable(aws, now), lambda _seconds: None
    )
    made = restore(target, now - timedelta(minutes=5), name, Progress())
    assert len(made) == len(deployment.stack.tables)
    copies = {role: restored_table_name(STAGE, role, name) for role in deployment.stack.tables}
    for role in ("payments", "transfers", "merchants"):
        restored = _keys(deployment, copies[role])
        # The stage works on meanwhile, so the original may have more.
        assert restored
        assert restored <= _keys(deployment, deployment.stack.tables[role])
    assert paid <= _keys(deployment, copies["payments"])
    assert deployed_target(STAGE, name).tables == copies

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
