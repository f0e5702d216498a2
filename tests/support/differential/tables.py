"""The tables that both engines have: each kind of key, indexes of each projection, streams."""

from __future__ import annotations

from typing import Any, Final


def _key(*names: str) -> list[dict[str, str]]:
    kinds = zip(names, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": name, "KeyType": kind} for name, kind in kinds]


def _table(name: str, types: dict[str, str], *keys: str, **more: Any) -> dict[str, Any]:
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _key(*keys),
        "AttributeDefinitions": [
            {"AttributeName": each, "AttributeType": kind} for each, kind in types.items()
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        **more,
    }


def _index(name: str, *keys: str, **projection: Any) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _key(*keys), "Projection": projection}


INDEXED: Final = "indexed"
PLAIN: Final = "plain"
NUMBERED: Final = "numbered"
INDEX_KEYS: Final = {"g": "S", "h": "N"}
"""Attributes that are keys of indexes."""
INDEXES: Final = {"by-g-and-h": ("g", "h"), "by-g": ("g",), "by-h": ("h",)}
TABLES: Final = {
    INDEXED: _table(
        INDEXED,
        {"p": "S", "s": "S", **INDEX_KEYS},
        "p",
        "s",
        GlobalSecondaryIndexes=[
            _index("by-g-and-h", "g", "h", ProjectionType="INCLUDE", NonKeyAttributes=["a"]),
            _index("by-g", "g", ProjectionType="KEYS_ONLY"),
            _index("by-h", "h", ProjectionType="ALL"),
        ],
    ),
    PLAIN: _table(PLAIN, {"p": "S"}, "p"),
    NUMBERED: _table(NUMBERED, {"p": "S", "s": "N"}, "p", "s"),
}
