"""The baselines of a transfer: the Go example's algorithm, by boto3 and by PynamoDB.

Two consistent reads, one version-checked commit of both accounts, then the payment row and three
audit rows: seven round trips, restarted when a version has changed. Its tables have its indexes,
which project everything. A crash between the calls separates them; that is not measured.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import ClientError
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import PynamoDBException
from pynamodb.models import Model
from pynamodb.transactions import TransactWrite

from benchmarks.rivals.baseline_tables import Layout

Transfer = Callable[[str, str, int, Callable[[], bool]], int]
"""Moves an amount from an account to another. Returns its attempts, negative if it gave up: whether
it should is asked before each repetition."""

BACKOFF_SECONDS: Final = 0.025
ACCOUNTS, PAYMENTS, AUDIT = "rival-accounts", "rival-payments", "rival-audit"
TABLES: Final[Layout] = {
    ACCOUNTS: (
        ("id",),
        {"customer-index": ("customer_id",), "status-index": ("status", "account_type")},
    ),
    PAYMENTS: (
        ("id",),
        {
            "customer-index": ("customer_id", "created_at"),
            "merchant-index": ("merchant_id", "created_at"),
            "status-index": ("status", "created_at"),
            "idempotency-index": ("idempotency_key",),
        },
    ),
    AUDIT: (
        ("id", "timestamp"),
        {
            "entity-index": ("entity_id", "timestamp"),
            "user-index": ("user_id", "timestamp"),
            "action-index": ("action", "timestamp"),
        },
    ),
}


def open_account(client: Any, account_id: str, balance: int) -> None:
    """An account of the baselines."""
    row = {
        "id": {"S": account_id},
        "customer_id": {"S": f"cus_{account_id}"},
        "account_number": {"S": account_id},
        "account_type": {"S": "wallet"},
        "status": {"S": "active"},
        "currency": {"S": "USD"},
        "balance": {"N": str(balance)},
        "version": {"N": "1"},
        "updated_at": {"S": now()},
    }
    client.put_item(TableName=ACCOUNTS, Item=row)


def now() -> str:
    """The time as the baselines store it."""
    return datetime.now(UTC).isoformat()


def payment_and_audits(
    source: str, target: str, amount: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The payment and its three audit rows, as the example writes them."""
    payment_id, moment = uuid4().hex, now()
    payment = {
        "id": payment_id,
        "customer_id": f"cus_{source}",
        "merchant_id": "mer_bench",
        "idempotency_key": uuid4().hex,
        "from_account": source,
        "to_account": target,
        "amount": amount,
        "currency": "USD",
        "status": "processed",
        "description": "Invoice 2026-0042",
        "created_at": moment,
        "processed_at": moment,
    }
    audits = [
        {
            "id": uuid4().hex,
            "timestamp": moment,
            "entity_id": entity,
            "user_id": "bench",
            "action": action,
            "amount": amount,
            "payment_id": payment_id,
            "ip_address": "192.0.2.1",
        }
        for entity, action in (
            (source, "balance_debited"),
            (target, "balance_credited"),
            (payment_id, "payment_processed"),
        )
    ]
    return payment, audits


def back_off(attempt: int, dice: random.Random) -> None:
    """Wait before a repetition."""
    time.sleep(dice.uniform(0, min(1.0, BACKOFF_SECONDS * 2 ** min(attempt, 6))))


def by_boto3(client: Any) -> Transfer:
    """The algorithm on the low-level client."""
    dice = random.SystemRandom()  # forked processes draw different values

    def transfer(source: str, target: str, amount: int, gave_up: Callable[[], bool]) -> int:
        attempt = 1
        while not _moved(client, source, target, amount):
            if gave_up():
                return -attempt
            back_off(attempt, dice)
            attempt += 1
        payment, audits = payment_and_audits(source, target, amount)
        client.put_item(TableName=PAYMENTS, Item=typed(payment))
        for audit in audits:
            client.put_item(TableName=AUDIT, Item=typed(audit))
        return attempt

    return transfer


def _moved(client: Any, source: str, target: str, amount: int) -> bool:
    changes = []
    for account, change in ((source, -amount), (target, amount)):
        row = client.get_item(TableName=ACCOUNTS, Key={"id": {"S": account}}, ConsistentRead=True)
        changes.append(version_checked(row["Item"], change))
    try:
        client.transact_write_items(TransactItems=changes)
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return False
    return True


def version_checked(row: dict[str, Any], change: int) -> dict[str, Any]:
    """The update of an account that was read."""
    version = int(row["version"]["N"])
    return {
        "Update": {
            "TableName": ACCOUNTS,
            "Key": {"id": row["id"]},
            "UpdateExpression": "SET balance = :b, version = :n, updated_at = :t",
            "ConditionExpression": "version = :v",
            "ExpressionAttributeValues": {
                ":b": {"N": str(int(row["balance"]["N"]) + change)},
                ":n": {"N": str(version + 1)},
                ":v": {"N": str(version)},
                ":t": {"S": now()},
            },
        }
    }


def typed(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the low-level client sends it."""
    return {n: {"N": str(v)} if isinstance(v, int) else {"S": v} for n, v in row.items()}


def _models(endpoint_url: str, region_name: str, credentials: tuple[str, str]) -> Any:
    """The three models; PynamoDB needs the tables' address in the class."""

    class Common:
        host = endpoint_url
        region = region_name
        aws_access_key_id, aws_secret_access_key = credentials
        max_pool_connections = 64
        max_retry_attempts = 0

    class AccountModel(Model):
        class Meta(Common):
            table_name = ACCOUNTS

        id = UnicodeAttribute(hash_key=True)
        customer_id = UnicodeAttribute()
        account_number = UnicodeAttribute()
        account_type = UnicodeAttribute()
        status = UnicodeAttribute()
        currency = UnicodeAttribute()
        balance = NumberAttribute()
        version = NumberAttribute()
        updated_at = UnicodeAttribute()

    class PaymentModel(Model):
        class Meta(Common):
            table_name = PAYMENTS

        id = UnicodeAttribute(hash_key=True)
        customer_id = UnicodeAttribute()
        merchant_id = UnicodeAttribute()
        idempotency_key = UnicodeAttribute()
        from_account = UnicodeAttribute()
        to_account = UnicodeAttribute()
        amount = NumberAttribute()
        currency = UnicodeAttribute()
        status = UnicodeAttribute()
        description = UnicodeAttribute()
        created_at = UnicodeAttribute()
        processed_at = UnicodeAttribute()

    class AuditModel(Model):
        class Meta(Common):
            table_name = AUDIT

        id = UnicodeAttribute(hash_key=True)
        timestamp = UnicodeAttribute(range_key=True)
        entity_id = UnicodeAttribute()
        user_id = UnicodeAttribute()
        action = UnicodeAttribute()
        amount = NumberAttribute()
        payment_id = UnicodeAttribute()
        ip_address = UnicodeAttribute()

    return AccountModel, PaymentModel, AuditModel


def by_pynamodb(
    endpoint_url: str, region: str, credentials: tuple[str, str]
) -> tuple[Transfer, Any]:
    """The same algorithm written with PynamoDB; also the botocore client underneath."""
    accounts, payments, audit = _models(endpoint_url, region, credentials)
    connection = Connection(
        region=region, host=endpoint_url, max_retry_attempts=0, max_pool_connections=64
    )
    client = accounts._get_connection().connection.client
    for each in (payments._get_connection().connection, audit._get_connection().connection):
        each._client = client  # one client, so that all its calls are counted
    connection._client = client
    dice = random.SystemRandom()  # forked processes draw different values

    def moved(source: str, target: str, amount: int) -> bool:
        try:
            with TransactWrite(connection=connection) as transaction:
                for account, change in ((source, -amount), (target, amount)):
                    row = accounts.get(account, consistent_read=True)
                    transaction.update(
                        row,
                        actions=[
                            accounts.balance.set(int(row.balance) + change),
                            accounts.version.set(int(row.version) + 1),
                            accounts.updated_at.set(now()),
                        ],
                        condition=accounts.version == row.version,
                    )
        except PynamoDBException as error:
            if error.cause_response_code != "TransactionCanceledException":
                raise
            return False
        return True

    def transfer(source: str, target: str, amount: int, gave_up: Callable[[], bool]) -> int:
        attempt = 1
        while not moved(source, target, amount):
            if gave_up():
                return -attempt
            back_off(attempt, dice)
            attempt += 1
        payment, audits = payment_and_audits(source, target, amount)
        payments(**payment).save()
        for each in audits:
            audit(**each).save()
        return attempt

    return transfer, client
