"""Tables of the baselines: their indexes project everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Layout = Mapping[str, tuple[tuple[str, ...], Mapping[str, tuple[str, ...]]]]
"""Keys, and indexes with their keys, by table."""


def create_tables(client: Any, layout: Layout) -> None:
    """The tables of `layout`, on demand, their indexes projecting ALL."""
    for table, (keys, indexes) in layout.items():
        names = {name for each in (keys, *indexes.values()) for name in each}
        made = [
            {
                "IndexName": name,
                "KeySchema": _schema(index_keys),
                "Projection": {"ProjectionType": "ALL"},
            }
            for name, index_keys in indexes.items()
        ]
        client.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            KeySchema=_schema(keys),
            **({"GlobalSecondaryIndexes": made} if made else {}),
        )


def _schema(keys: tuple[str, ...]) -> list[dict[str, str]]:
    kinds = ("HASH", "RANGE")
    return [{"AttributeName": k, "KeyType": kind} for k, kind in zip(keys, kinds, strict=False)]
