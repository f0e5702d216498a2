"""What must be derived from what the streams told, said again without the code under test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from runtime.domain.audit_chain import check_chain, is_outside
from runtime.domain.images import image_hash
from runtime.models.audit import AuditRow
from tests.support.stage import Stage

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
        row = AuditRow.model_validate(plain(item))
        chains[row.entity_id].append(row)
    for rows in chains.values():
        rows.sort(key=lambda row: row.sequence)
    return chains


def entities(stage: Stage) -> dict[str, dict[str, Any]]:
    """Every audited item, by the name that its audit rows have."""
    found = {}
    for table in AUDITED:
        for item in items(stage, table):
            name, shard = item["id"]["S"], item.get("shard", {}).get("S", "00")
            if not name.startswith("number#"):
                found[name if shard == "00" else f"{name}#{shard}"] = item
    return found


def audit_must_be_whole(stage: Stage) -> int:
    """One row per version of every entity and no other, in chains that hold; how many there are."""
    chains, stored = audit_chains(stage), entities(stage)
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
