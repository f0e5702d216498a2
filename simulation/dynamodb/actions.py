"""One write of one item: read from a request, judged, and what it makes of the item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.compiled import Compiled, compiled
from simulation.dynamodb.expressions.reading import Values
from simulation.dynamodb.indexes import Key
from simulation.dynamodb.requests import WRITE_PARTS, Request, only
from simulation.dynamodb.sizes import MAX_ITEM_BYTES, exceeds
from simulation.dynamodb.tables import Table
from simulation.dynamodb.values import Item, canonical_item

_NOTHING: Final[Mapping[str, Any]] = {}

PARTS: Final = {
    "Put": WRITE_PARTS | {"Item"},
    "Update": WRITE_PARTS | {"Key", "UpdateExpression"},
    "Delete": WRITE_PARTS | {"Key"},
    "ConditionCheck": WRITE_PARTS | {"Key"},
}
"""What each kind of action may have in it."""


class Action(NamedTuple):
    """A write as it was asked for; `new` is the item of a Put."""

    kind: str
    table: Table
    key: Key
    compiled: Compiled
    values: Values
    new: Item | None
    shows_old: bool
    """Whether a failed condition is answered with the item as it stands."""


def read_action(catalog: Catalog, kind: str, body: Request) -> Action:
    """The action that a request describes. Raises ValidationException or ResourceNotFound."""
    table = catalog.table(body["TableName"])
    expressions = compiled(body)
    values = expressions.given(body.get("ExpressionAttributeValues") or _NOTHING)
    if kind == "ConditionCheck" and expressions.condition is None:
        raise invalid("The expression can not be empty;")
    for name in table.key_names:
        if name in expressions.touched:
            raise invalid(
                f"One or more parameter values were invalid: Cannot update attribute {name}. This "
                "attribute is part of the key"
            )
    new = None
    if kind == "Put":
        new = canonical_item(body["Item"])
        key = table.key_of(new)
        table.judge_index_sizes(new)
        if exceeds(new, MAX_ITEM_BYTES):
            raise invalid("Item size has exceeded the maximum allowed size")
    else:
        key = table.key(body["Key"])
    shows_old = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    return Action(kind, table, key, expressions, values, new, shows_old)


def holds(action: Action, old: Item | None) -> bool:
    """Whether the action's condition holds of the item as it stands."""
    condition = action.compiled.condition
    return condition is None or condition(_ABSENT if old is None else old, action.values)


_ABSENT: Final[Item] = {}


def item_after(action: Action, old: Item | None) -> Item | None:
    """What the action makes of the item. Raises ValidationException for what cannot be stored."""
    table = action.table
    if action.kind == "Put":
        assert action.new is not None, "a Put has an item"
        table.judge_index_types(action.new)
        return action.new
    if action.kind == "Delete":
        return None
    start = table.attributes(action.key) if old is None else old
    if action.compiled.update is None:
        return start
    after = action.compiled.update(start, action.values)
    table.judge_index_types(after)
    table.judge_index_sizes(after)
    if exceeds(after, MAX_ITEM_BYTES):
        raise invalid("Item size to update has exceeded the maximum allowed size")
    return after


def judge_parts(kind: str, body: Request) -> None:
    """Raises Unsupported for what no action of this kind has."""
    only(body, PARTS[kind], kind)
