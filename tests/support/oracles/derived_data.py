"""What must be derived from the stream records, computed without the code under test."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from runtime.audit.chain import check_chain, is_outside
from runtime.audit.models import AuditRow
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.streams.images import image_hash
from tests.support.stages.running_stage import Stage

AUDITED = (
    "accounts",
    "customers",
    "merchants",
    "payments",
    "settlements",
    "transactions",
    "transfers",
)
_deserialize = TypeDeserializer().deserialize
_CODEC = Codec(NoCipher())


def items(stage: Stage, table: str) -> Iterator[dict[str, Any]]:
    """Every item of a table in DynamoDB's JSON."""
    pages = stage.dynamodb.get_paginator("scan").paginate(
        TableName=stage.tables[table], ConsistentRead=True
    )
    for page in pages:
        yield from page["Items"]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """An item's attributes as values."""
    return {name: _deserialize(value) for name, value in item.items()}


def audit_chains(stage: Stage) -> dict[str, list[AuditRow]]:
    """All audit rows by entity, in order."""
    chains: dict[str, list[AuditRow]] = defaultdict(list)
    for item in items(stage, "audit_log"):
        row = _CODEC.to_row(AuditRow.table_schema, item, AuditRow)
        chains[row.entity_id].append(row)
    for rows in chains.values():
        rows.sort(key=lambda row: row.sequence)
    return chains


def entities(stage: Stage) -> dict[str, dict[str, Any]]:
    """Every audited item, by its name in audit rows."""
    found = {}
    for table in AUDITED:
        for item in items(stage, table):
            name = item["id"]["S"]
            if not name.startswith("number#"):
                found[name] = item
    return found


def audit_must_be_whole(stage: Stage) -> int:
    """One row per version of every entity and no other, in valid chains; returns their number.

    Balance shards have no rows: their entries record their versions.
    """
    chains = audit_chains(stage)
    stored = {name: item for name, item in entities(stage).items() if "#" not in name}
    assert set(chains) == set(stored)
    for name, item in stored.items():
        rows = chains[name]
        verdict = check_chain(rows)
        assert verdict.valid, (name, verdict)
        assert not [row for row in rows if is_outside(row.sequence)], (name, rows)
        assert [row.version for row in rows] == list(range(1, int(item["version"]["N"]) + 1)), name
        assert rows[-1].image_hash == image_hash(item), name
        assert not [row for row in rows if row.action == "rebuilt"], name
    return sum(len(rows) for rows in chains.values())


# ------------------------------------------------------------ webhooks

_PAYMENT_NEWS = ("succeeded", "failed", "requires_capture", "canceled", "unknown")
_TRANSFER_NEWS = {
    "processed": "processed",
    "failed": "failed",
    "canceled": "canceled",
    "expired": "canceled",
}
AuditableChange = tuple[str, str, int]
"""A merchant's notification: the type, the id of its subject, and its sequence."""


def news_of(
    stage: Stage, records: Iterable[dict[str, Any]], merchants: set[str]
) -> list[AuditableChange]:
    """The notifications for merchants that follow from the stream records alone."""
    names = {physical: name for name, physical in stage.tables.items()}
    reported = []
    for record in {each["eventID"]: each for each in records}.values():
        change = record["dynamodb"]
        old, new = (plain(_typed(change.get(f"{which}Image", {}))) for which in ("Old", "New"))
        table = names[record["eventSourceARN"].split("/")[1]]
        kind = _news(table, old, new)
        if kind is not None and new["merchant_id"] in merchants:
            reported.append((kind, str(new["id"]), int(new.get("version", 1))))
    return sorted(reported)


def _news(table: str, old: dict[str, Any], new: dict[str, Any]) -> str | None:
    status = new.get("status")
    turned = status != old.get("status")
    if table == "payments" and turned and status in _PAYMENT_NEWS:
        return f"payment.{status}"
    if table == "transactions" and turned and new.get("type") == "refund":
        return f"refund.{status}" if status in ("succeeded", "failed") else None
    if table == "transfers" and turned and not ({"payment_id", "settlement_id"} & set(new)):
        return f"transfer.{_TRANSFER_NEWS[status]}" if status in _TRANSFER_NEWS else None
    if table in ("accounts", "customers") and new.get("locked_until", "") > old.get(
        "locked_until", ""
    ):
        return "account.locked"
    if table == "alerts" and new.get("type") in ("large_transaction", "suspicious_velocity"):
        return f"alert.{new['type']}"
    return None


def _typed(image: dict[str, Any]) -> dict[str, Any]:
    """An image of an event, whose bytes are text, in DynamoDB's own form."""
    return {name: value for name, value in image.items() if not {"B", "BS"} & set(value)}


def webhooks_must_tell(
    stage: Stage, records: Iterable[dict[str, Any]], merchants: set[str], open_row: Any
) -> dict[str, AuditableChange]:
    """One delivery per notification, each with its own id, and no others.

    `open_row` decrypts an item of the webhooks table. Returns the notification of each id.
    """
    found = {}
    for item in items(stage, "webhooks"):
        if item["id"]["S"].startswith("endpoint#"):
            continue
        row = open_row(item)
        body = json.loads(row.payload)
        assert (body["id"], body["type"]) == (row.id, row.event_type)
        assert (body["sequence"], row.merchant_id in merchants) == (row.sequence, True)
        found[row.id] = (str(row.event_type), body["data"]["id"], row.sequence)
    assert sorted(found.values()) == news_of(stage, records, merchants)
    return found


# ------------------------------------------------------------ totals


def summary_of(stage: Stage, merchant_id: str) -> dict[str, Any]:
    """What a summary over all payments of a merchant must be, payment by payment."""
    statuses: Counter[str] = Counter()
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items(stage, "payments"):
        row = plain(item)
        if row["merchant_id"] != merchant_id or row["status"] in ("pending", "processing"):
            continue
        statuses[row["status"]] += 1
        captured, refunded, fee = (
            int(row.get(name, 0)) for name in ("amount_captured", "amount_refunded", "fee")
        )
        mine = sums[row["currency"]]
        mine["count"] += 1
        mine["captured"] += captured
        mine["refunded"] += refunded
        mine["fees"] += fee
        mine["net"] += captured - refunded - fee
    return {
        "total_count": statuses.total(),
        "by_status": dict(statuses),
        "by_currency": {code: dict(mine) for code, mine in sums.items()},
    }


def summary_must_be_exact(stage: Stage, merchant_id: str, who: dict[str, str]) -> int:
    """The API's summary matches a recount; returns the number of payments."""
    reported = stage.api("GET", "/v1/payments/summary", authorizer=who).body
    truth = summary_of(stage, merchant_id)
    found = {name: reported[name] for name in ("total_count", "by_status")}
    found["by_currency"] = {
        code: {name: sums[name] for name in truth["by_currency"].get(code, {})}
        for code, sums in reported["by_currency"].items()
    }
    assert found == truth
    return int(reported["total_count"])
