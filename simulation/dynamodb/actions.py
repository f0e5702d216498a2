"""One write of one item: read from a request, judged, and what it makes of the item."""

from __future__ import annotations

from typing import Final

from simulation.dynamodb.catalog import Catalog
from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.compiled import VALUES, compiled, stray_part
from simulation.dynamodb.indexes import Key
from simulation.dynamodb.requests import WRITE_PARTS, Request
from simulation.dynamodb.sizes import MAX_ITEM_BYTES, size_of
from simulation.dynamodb.tables import Table
from simulation.dynamodb.values import Item, canonical_item

PARTS: Final = {
    "Put": WRITE_PARTS | {"Item"},
    "Update": WRITE_PARTS | {"Key", "UpdateExpression"},
    "Delete": WRITE_PARTS | {"Key"},
    "ConditionCheck": WRITE_PARTS | {"Key"},
}
"""What each kind of action may have in it."""

_ABSENT: Final[Item] = {}
_NO_KEY: Final[Key] = ()


class Action:
    """A write as it was asked for.

    Making one judges what the request alone can show, except names and values without an
    expression: `find` judges those, and what the table's schema can show. What is left depends on
    the item. In a transaction the first two refuse the request, the third and a key that does not
    match the schema (`fault`) cancel it with a reason. Source, measured on AWS:
    github.com/paritysuite/dynamodb-conformance, pull requests 46 and 60, tests/tier3.
    """

    __slots__ = (
        "compiled",
        "fault",
        "flaw",
        "holder",
        "key",
        "kind",
        "shows_old",
        "table",
        "values",
    )

    table: Table
    key: Key
    fault: str | None
    """Why the table cannot have this key."""

    def __init__(self, kind: str, body: Request) -> None:
        """Raises ValidationException, or Unsupported."""
        self.kind = kind
        self.compiled = compiled(body)
        self.values = self.compiled.given(body.get(VALUES))
        self.flaw = stray_part(body)
        """An error that comes only after a missing table and a token that was used before."""
        if kind == "ConditionCheck" and self.compiled.condition is None:
            self.flaw = "The expression can not be empty;"
        self.holder = canonical_item(body["Item"] if kind == "Put" else body["Key"])
        """The item of a Put, the key of every other action."""
        if kind == "Put" and size_of(self.holder) > MAX_ITEM_BYTES:
            raise invalid("Item size has exceeded the maximum allowed size")
        self.shows_old = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"

    def find(self, catalog: Catalog, name: str) -> None:
        """Raises ResourceNotFoundException, or ValidationException."""
        self.table = catalog.table(name)
        if self.flaw:
            raise invalid(self.flaw)
        whole = self.kind != "Put"
        self.fault = self.table.key_fault(self.holder, whole=whole)
        self.key = _NO_KEY if self.fault else self.table.key_of(self.holder)
        if not whole:
            self.table.judge_index_values(self.holder)

    def judge_key(self) -> None:
        """Raises ValidationException for a key that no item of the table can have."""
        if self.fault:
            raise invalid(self.fault)
        self.table.judge_key_size(self.key)
        if self.kind == "Put":
            self.table.judge_index_types(self.holder)

    def holds(self, old: Item | None) -> bool:
        """Whether the condition holds of the item as it stands."""
        condition = self.compiled.condition
        return condition is None or condition(_ABSENT if old is None else old, self.values)

    def item_after(self, old: Item | None) -> Item | None:
        """What this makes of the item. Raises ValidationException for what cannot be stored."""
        if self.kind == "Put":
            return self.holder
        if self.kind == "ConditionCheck":
            return old
        if self.kind == "Delete":
            return None
        for name in self.table.key_names:
            if name in self.compiled.touched:
                raise invalid(
                    f"One or more parameter values were invalid: Cannot update attribute {name}. "
                    "This attribute is part of the key"
                )
        start = self.holder if old is None else old
        after = start
        if self.compiled.update is not None:
            after = self.compiled.update(start, self.values)
        self.table.judge_index_types(after)
        self.table.judge_index_values(after)
        if size_of(after) > MAX_ITEM_BYTES:
            raise invalid("Item size to update has exceeded the maximum allowed size")
        return after
