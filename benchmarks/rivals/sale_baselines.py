"""The baselines of a sale: the Go example's layout, and Powertools idempotency.

The example reads the idempotency row and puts one, creates payment and transaction, updates both
after the processor's answer, stores the response, and writes an audit row for each change: eleven
separate calls. Its tables have the indexes of its documents, and its mapper projects ALL.
It books nothing.

Powertools wraps our own sale, without our claim.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from benchmarks.rivals.baseline_tables import Layout
from benchmarks.rivals.charge_workload import SALE, USER_AGENT, ChargeWorkload
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.dynamodb.codec import serialize
from runtime.dynamodb.expressions import Put, Write
from runtime.dynamodb.store import BACKOFF_CAP_SECONDS, Store
from runtime.functions.composition.real_outside import real_outside
from runtime.idempotency.models import IdempotencyRecord
from runtime.payments.processors.port import ChargeRequest, Processor
from runtime.payments.rules import ActionRequired, Approved

Sell = Callable[[str, str | None], object]
"""Sells once per idempotency key, to a customer if one is named."""

PAYMENTS, TRANSACTIONS = "rival-sale-payments", "rival-sale-transactions"
IDEMPOTENCY, AUDIT = "rival-sale-idempotency", "rival-sale-audit"
POWERTOOLS: Final = "rival-sale-powertools"
TABLES: Final[Layout] = {
    PAYMENTS: (
        ("id",),
        {
            "merchant-index": ("merchant_id", "created_at"),
            "gsi-merchant": ("merchant_id", "status"),
            "gsi-customer": ("customer_id", "created_at"),
            "gsi-idempotency": ("idempotency_key",),
        },
    ),
    TRANSACTIONS: (("id",), {"gsi-payment": ("payment_id",)}),
    IDEMPOTENCY: (("key",), {"gsi-merchant": ("merchant_id",)}),
    AUDIT: (
        ("entity_id", "timestamp"),
        {
            "action-index": ("action", "timestamp"),
            "user-index": ("user_id", "timestamp"),
            "gsi-merchant": ("merchant_id", "timestamp"),
        },
    ),
    POWERTOOLS: (("id",), {}),
}
KEPT: Final = timedelta(hours=24)
LONG_MILLISECONDS: Final = 30_000
"""The remaining time of a function when a sale begins."""


def owned(customer_id: str | None) -> dict[str, Any]:
    """The customer in a sale."""
    return {} if customer_id is None else {"customer_id": customer_id}


class StillProcessing(Exception):
    """The example's answer to a repetition whose first request has not stored its response."""


# -------------------------------------------------------------------- the Go example's layout


@dataclass(frozen=True)
class GoSales:
    """The example's sale on the low-level client, for one merchant."""

    client: Any
    processor: Processor
    merchant_id: str
    clock: Callable[[], datetime]

    def sell(self, key: str, customer_id: str | None = None) -> object:
        """Read first, then do; each write is a separate call. Raises StillProcessing."""
        earlier = self.client.get_item(TableName=IDEMPOTENCY, Key=_typed({"key": key})).get("Item")
        if earlier is not None:
            if "response" not in earlier:
                raise StillProcessing(key)
            return json.loads(earlier["response"]["S"])
        now = self.clock()
        record = {
            "key": key,
            "merchant_id": self.merchant_id,
            "created_at": to_timestamp(now),
            "expires_at": to_epoch_seconds(now + KEPT),
        }
        self._create(IDEMPOTENCY, record)
        payment = self._sold(key, customer_id)
        answer = {"status_code": 200, "response": json.dumps(payment)}
        self._update(IDEMPOTENCY, {"key": key}, answer)
        return payment

    def _sold(self, key: str, customer_id: str | None) -> dict[str, Any]:
        now = self.clock()
        payment = _payment(self.merchant_id, key, customer_id, now)
        transaction = _transaction(payment, now)
        for table, row in ((PAYMENTS, payment), (TRANSACTIONS, transaction)):
            self._create(table, row)
            self._audit("created", table, row["id"], {}, row)
        request = ChargeRequest(
            reference=payment["id"],
            amount_minor=payment["amount"],
            currency=payment["currency"],
            payment_method=payment["payment_method"],
            at=now,
        )
        reply = self.processor.charge(request)
        assert not isinstance(reply, ActionRequired), "the baselines use tok_approved"  # noqa: S101
        approved = isinstance(reply, Approved)
        status = "succeeded" if approved else "failed"
        reported = {
            "processor_id": reply.processor_id,
            "response_code": reply.response_code if isinstance(reply, Approved) else "declined",
            "response_text": reply.response_text,
        }
        for table, row, news in (
            (PAYMENTS, payment, {"status": status}),
            (TRANSACTIONS, transaction, {"status": status, **reported}),
        ):
            changes = {**news, "updated_at": to_timestamp(self.clock()), "version": 2}
            before = {name: row[name] for name in changes if name in row}
            self._update(table, {"id": row["id"]}, changes, version=row["version"])
            self._audit(status, table, row["id"], before, changes)
            row.update(changes)
        return payment

    def _audit(
        self, action: str, table: str, entity_id: str, old: dict[str, Any], new: dict[str, Any]
    ) -> None:
        kind = table.rpartition("-")[2].removesuffix("s")
        row = {
            "entity_id": entity_id,
            "timestamp": to_timestamp(self.clock()),
            "entity_type": kind,
            "action": f"{kind}_{action}",
            "user_id": "shop-backend@7d1f0c2a",
            "merchant_id": self.merchant_id,
            "old_values": json.dumps(old),
            "new_values": json.dumps(new),
            "changes": json.dumps(list(new)),
            "ip_address": "203.0.113.42",
            "user_agent": USER_AGENT,
            "request_id": "req_JKJaXmPLvHcESHA=",
        }
        self.client.put_item(TableName=AUDIT, Item=_typed(row))

    def _create(self, table: str, row: dict[str, Any]) -> None:
        self.client.put_item(
            TableName=table,
            Item=_typed(row),
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": TABLES[table][0][0]},
        )

    def _update(
        self, table: str, key: dict[str, Any], changes: dict[str, Any], version: int | None = None
    ) -> None:
        names = {f"#{name}": name for name in changes}
        values = {f":{name}": value for name, value in changes.items()}
        request: dict[str, Any] = {
            "TableName": table,
            "Key": _typed(key),
            "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in changes),
        }
        if version is not None:
            request["ConditionExpression"] = "#version = :read"
            values[":read"] = version
        self.client.update_item(
            **request, ExpressionAttributeNames=names, ExpressionAttributeValues=_typed(values)
        )


def _payment(merchant_id: str, key: str, customer_id: str | None, now: datetime) -> dict[str, Any]:
    return {
        "id": real_outside().new_id("pay", now),
        "merchant_id": merchant_id,
        "idempotency_key": key,
        **owned(customer_id),
        **SALE,
        "metadata": json.dumps(SALE["metadata"]),
        "status": "pending",
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        "version": 1,
    }


def _transaction(payment: dict[str, Any], now: datetime) -> dict[str, Any]:
    made = {"type": "capture", "amount": payment["amount"]}
    step = {"timestamp": to_timestamp(now), "action": "transaction_created", "changes": made}
    return {
        "id": real_outside().new_id("txn", now),
        "payment_id": payment["id"],
        **made,
        "status": "pending",
        "audit_trail": json.dumps([step]),
        "processed_at": to_timestamp(now),
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        "version": 1,
    }


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    return {name: serialize(value) for name, value in row.items()}


# -------------------------------------------------------------------- Powertools idempotency


@dataclass(frozen=True)
class Unclaimed(Store):
    """The store without our claims: only a sale's other writes remain."""

    def transact(
        self,
        writes: Sequence[Write],
        *,
        token: str,
        decisive: Collection[int] = (),
        conflict_cap_seconds: float = BACKOFF_CAP_SECONDS,
    ) -> None:
        """The writes other than the claim's; `decisive` names positions that are not there."""
        work = [write for write in writes if not _is_claim(write)]
        super().transact(work, token=token, conflict_cap_seconds=conflict_cap_seconds)


def _is_claim(write: Write) -> bool:
    return isinstance(write, Put) and isinstance(write.row, IdempotencyRecord)


def by_powertools(
    workload: ChargeWorkload,
    client: Any,
    processor: Processor | None = None,
    *,
    remaining_milliseconds: int = LONG_MILLISECONDS,
) -> Sell:
    """Our sale inside of `idempotent_function`, with its payload checked, its answer kept a day."""
    ours = workload.store
    store = Unclaimed(client, ours.tables, ours.codec, ours.remaining_seconds, ours.outside)
    deps = workload.deps_on(store, processor)
    context: Any = SimpleNamespace(
        aws_request_id="bench", get_remaining_time_in_millis=lambda: remaining_milliseconds
    )
    config = IdempotencyConfig(
        event_key_jmespath="key",
        payload_validation_jmespath="body",
        expires_after_seconds=int(KEPT.total_seconds()),
        raise_on_no_idempotency_key=True,
        lambda_context=context,
    )
    layer = DynamoDBPersistenceLayer(table_name=POWERTOOLS, boto3_client=client)

    def work(*, order: dict[str, Any]) -> dict[str, Any]:
        answer = workload.sell(order["key"], deps, **order["body"])
        return {"status": answer.status, "body": answer.body}

    once: Callable[..., object] = idempotent_function(
        work, data_keyword_argument="order", persistence_store=layer, config=config
    )

    def sell(key: str, customer_id: str | None = None) -> object:
        return once(order={"key": key, "body": {**SALE, **owned(customer_id)}})

    return sell
