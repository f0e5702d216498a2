"""The Go example's transfer as its documents have it, on botocore.

The idempotency row is read and put first. Two consistent reads, one transaction of both accounts
under their versions and of the payment, three audit rows. At last the idempotency row gets the
answer. Nine round trips, restarted from the reads when a version has changed.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import ClientError

from benchmarks.rivals import transfer_baselines as rivals
from benchmarks.rivals.baseline_tables import create_tables
from benchmarks.rivals.worker import GaveUp, Transfer
from tests.support.engines.engine import Engine

OPENING: Final = 10**9
HOT: Final = "hot"
IDEMPOTENCY: Final = "rival-idempotency"
DAY_SECONDS: Final = 86_400
TABLES: Final = {**rivals.TABLES, IDEMPOTENCY: (("key",), {"gsi-merchant": ("merchant_id",)})}


class GoWay:
    """Its rows and calls on a tuned low-level client: the fastest that boto3 has."""

    prefix = "go"
    """Accounts of each way have ids of their own, in tables that ways share."""

    def __init__(self, url: str, accounts: int) -> None:
        self._engine, self._count = Engine("rivals", url), accounts
        self._admin: Any = self._engine.dynamodb()

    def prepare(self) -> None:
        """Tables and accounts."""
        for table, keys in TABLES.items():
            with suppress(self._admin.exceptions.ResourceInUseException):
                create_tables(self._admin, {table: keys})
        for number in range(self._count):
            rivals.open_account(self._admin, self.account(number), OPENING)
        rivals.open_account(self._admin, self.account(None), 0)

    def account(self, number: int | None) -> str:
        """The id of an account, or of the hot one."""
        return f"{self.prefix}-{HOT if number is None else number}"

    def connect(self) -> Transfer:
        """A client besides the one that has created the tables."""
        client: Any = self._engine.dynamodb()
        dice = random.SystemRandom()  # forked processes draw different values

        def transfer(source: int, target: int | None, gave_up: GaveUp) -> int:
            key = uuid4().hex
            client.get_item(TableName=IDEMPOTENCY, Key={"key": {"S": key}})
            _begin(client, key)
            accounts = self.account(source), self.account(target)
            attempt = 1
            while (payment := _moved(client, *accounts, 1)) is None:
                if gave_up():
                    return -attempt
                rivals.back_off(attempt, dice)
                attempt += 1
            _end(client, key, payment)
            return attempt

        return transfer

    def total(self) -> int:
        """The sum of all balances."""
        pages = self._admin.get_paginator("scan").paginate(TableName=rivals.ACCOUNTS)
        rows = (row for page in pages for row in page["Items"])
        mine = (row for row in rows if row["id"]["S"].startswith(f"{self.prefix}-"))
        return sum(int(row["balance"]["N"]) for row in mine)


def _begin(client: Any, key: str) -> None:
    row = {"key": key, "merchant_id": "mer_bench", "created_at": rivals.now()}
    client.put_item(
        TableName=IDEMPOTENCY,
        Item=rivals.typed({**row, "expires_at": int(time.time()) + DAY_SECONDS}),
        ConditionExpression="attribute_not_exists(#k)",
        ExpressionAttributeNames={"#k": "key"},
    )


def _moved(client: Any, source: str, target: str, amount: int) -> dict[str, Any] | None:
    """The payment, or None if a version has changed."""
    writes: list[Any] = []
    for account, change in ((source, -amount), (target, amount)):
        found = client.get_item(
            TableName=rivals.ACCOUNTS, Key={"id": {"S": account}}, ConsistentRead=True
        )
        writes.append(rivals.version_checked(found["Item"], change))
    payment, audits = rivals.payment_and_audits(source, target, amount)
    create = {
        "TableName": rivals.PAYMENTS,
        "Item": rivals.typed(payment),
        "ConditionExpression": "attribute_not_exists(id)",
    }
    try:
        client.transact_write_items(TransactItems=[*writes, {"Put": create}])
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return None
    for audit in audits:
        client.put_item(TableName=rivals.AUDIT, Item=rivals.typed(audit))
    return payment


def _end(client: Any, key: str, payment: dict[str, Any]) -> None:
    client.update_item(
        TableName=IDEMPOTENCY,
        Key={"key": {"S": key}},
        UpdateExpression="SET #r = :r, #s = :s",
        ExpressionAttributeNames={"#r": "response", "#s": "status_code"},
        ExpressionAttributeValues={":r": {"S": json.dumps(payment)}, ":s": {"N": "200"}},
    )


def way(url: str, accounts: int) -> GoWay:
    """Transfers in the Go example's way."""
    return GoWay(url, accounts)
