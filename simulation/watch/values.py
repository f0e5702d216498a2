"""Reading stored items as DynamoDB returns them, without the runtime's models.

What judges the runtime must not share its parsing: a wrong default in a model would hide itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Mapping[str, Any]]
"""Attributes by name, each a typed value such as {"S": "text"} or {"N": "1"}."""


def text(item: Item, name: str) -> str:
    """A text attribute; empty where it is absent or null."""
    return str(item.get(name, {}).get("S", ""))


def number(item: Item, name: str) -> int:
    """A whole number; 0 where it is absent or null."""
    return int(item.get(name, {}).get("N", 0))


def flag(item: Item, name: str) -> bool:
    """A boolean; False where it is absent or null."""
    return bool(item.get(name, {}).get("BOOL", False))


def texts(item: Item, name: str) -> tuple[str, ...]:
    """A list of texts, in order; empty where it is absent or null."""
    return tuple(str(each["S"]) for each in item.get(name, {}).get("L", ()))


def maps(item: Item, name: str) -> tuple[Item, ...]:
    """A list of maps, in order; empty where it is absent or null."""
    return tuple(each["M"] for each in item.get(name, {}).get("L", ()))


def members(item: Item, name: str) -> Mapping[str, Item]:
    """A map of maps, by name; empty where it is absent or null."""
    return {key: each["M"] for key, each in item.get(name, {}).get("M", {}).items()}


def plain(value: Mapping[str, Any]) -> Any:
    """A typed value as JSON has it: whole numbers as int, sets as sorted lists."""
    ((kind, content),) = value.items()
    if kind == "N":
        return int(content)
    if kind == "NULL":
        return None
    if kind == "M":
        return {name: plain(member) for name, member in content.items()}
    if kind == "L":
        return [plain(member) for member in content]
    if kind in ("SS", "NS", "BS"):
        return sorted(content)
    return content


def plain_item(item: Item) -> dict[str, Any]:
    """An item's attributes as JSON values, by name."""
    return {name: plain(value) for name, value in item.items()}
