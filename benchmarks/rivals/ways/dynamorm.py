"""The same transfer with dynamorm-py, without idempotency rows: seven round trips.

Its transactions are of one table, so the payment is put by itself. It runs from its source, and
imports nothing of the platform: its interpreter has no other packages than boto3.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from uuid import uuid4

import boto3
from botocore.config import Config

from benchmarks.rivals.baseline_tables import Layout, create_tables
from benchmarks.rivals.worker import GaveUp, Transfer

OPENING: Final = 10**9
HOT: Final = "hot"
BACKOFF_SECONDS: Final = 0.025
ACCOUNTS, PAYMENTS, AUDIT = "seed-accounts", "seed-payments", "seed-audit"
TABLES: Final[Layout] = {
    ACCOUNTS: (
        ("id",),
        {"customer-index": ("customer_id",), "status-index": ("status", "account_type")},
    ),
    PAYMENTS: (
        ("id",),
        {
            "customer-index": ("customer_id", "created_at"),
            "merchant-index": ("merchant_id",),
            "status-index": ("status",),
        },
    ),
    AUDIT: (("id", "timestamp"), {"action-index": ("action",), "user-index": ("user_id",)}),
}
library: Any = import_module("dynamorm_py")
_field: Callable[..., Any] = library.dynamorm_field


@dataclass(frozen=True)
class Account:
    """An account of the example."""

    id: str = _field(roles=["pk"])
    balance: int = _field()
    version: int = _field()
    status: str = _field()
    customer_id: str = _field()
    account_type: str = _field()


@dataclass(frozen=True)
class Payment:
    """A payment of the example, without its optional attributes."""

    id: str = _field(roles=["pk"])
    customer_id: str = _field()
    created_at: str = _field()
    merchant_id: str = _field()
    status: str = _field()
    amount: int = _field()


@dataclass(frozen=True)
class AuditLog:
    """An audit row of the example, without what it knows of the request."""

    id: str = _field(roles=["pk"])
    timestamp: str = _field(roles=["sk"])
    action: str = _field()
    user_id: str = _field()
    old: int = _field()
    new: int = _field()


class DynamormWay:
    """The library's tables on a client with boto3's defaults, which it would create itself."""

    def __init__(self, url: str, accounts: int) -> None:
        self._url, self._count = url, accounts

    def prepare(self) -> None:
        """Tables and accounts."""
        create_tables(self._client(), TABLES)
        accounts, _, _ = self._tables()
        for name in (*map(str, range(self._count)), HOT):
            balance = 0 if name == HOT else OPENING
            accounts.put(Account(name, balance, 1, "active", f"cus_{name}", "wallet"))

    def connect(self) -> Transfer:
        """A client besides the one that has created the tables."""
        accounts, payments, audit = self._tables()
        dice = random.SystemRandom()  # forked processes draw different values

        def transfer(source: int, target: int | None, gave_up: GaveUp) -> int:
            names = str(source), HOT if target is None else str(target)
            attempt = 1
            while (before := _moved(accounts, *names, 1)) is None:
                if gave_up():
                    return -attempt
                time.sleep(dice.uniform(0, min(1.0, BACKOFF_SECONDS * 2 ** min(attempt, 6))))
                attempt += 1
            payment = Payment(uuid4().hex, f"cus_{source}", _now(), "mer_bench", "processed", 1)
            payments.put(payment)
            debited, credited = before
            for row in (
                AuditLog(names[0], _now(), "balance_debited", "bench", debited, debited - 1),
                AuditLog(names[1], _now(), "balance_credited", "bench", credited, credited + 1),
                AuditLog(payment.id, _now(), "payment_processed", "bench", 0, 1),
            ):
                audit.put(row)
            return attempt

        return transfer

    def total(self) -> int:
        """The sum of all balances."""
        pages = self._client().get_paginator("scan").paginate(TableName=ACCOUNTS)
        return sum(int(row["balance"]["N"]) for page in pages for row in page["Items"])

    def _client(self) -> Any:
        return boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            endpoint_url=self._url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 - the engine accepts any
            config=Config(max_pool_connections=64, proxies={}),
        )

    def _tables(self) -> list[Any]:
        client = self._client()
        models = ((Account, ACCOUNTS), (Payment, PAYMENTS), (AuditLog, AUDIT))
        definition = library.ModelDefinition.from_dataclass
        return [library.Table(definition(m, table_name=t), client=client) for m, t in models]


def _moved(accounts: Any, source: str, target: str, amount: int) -> tuple[int, int] | None:
    """The balances before, or None if a version has changed."""
    found = [accounts.get(name, consistent_read=True) for name in (source, target)]
    updates = [
        library.TransactUpdate(
            row.id,
            None,
            {"balance": row.balance + change, "version": row.version + 1},
            condition_expression="#v = :old",
            expression_attribute_names={"#v": "version"},
            expression_attribute_values={":old": row.version},
        )
        for row, change in zip(found, (-amount, amount), strict=True)
    ]
    try:
        accounts.transact_write(updates)
    except (library.ConditionFailedError, library.TransactionCanceledError):
        return None
    debited, credited = (row.balance for row in found)
    return debited, credited


def _now() -> str:
    return f"{time.time():.6f}"


def way(url: str, accounts: int) -> DynamormWay:
    """Transfers by dynamorm-py."""
    return DynamormWay(url, accounts)
