"""Writes and conditions as values, rendered to DynamoDB expressions.

Only expressions that DynamoDB accepts can be built: conditions compare an attribute with a value
(no arithmetic), a SET term has one operator, and one item is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from runtime.dynamodb.schema import NO_MEMBERS, Row, TableSchema

Key = Mapping[str, str | int]
RowT = TypeVar("RowT", bound=Row)


class Rendering:
    """Collects the placeholders of one request's expressions."""

    def __init__(self, serialize: Callable[[Any], Any]) -> None:
        self._serialize = serialize
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, attribute: str) -> str:
        """The placeholder for an attribute name."""
        placeholder = f"#{attribute}"
        self.names[placeholder] = attribute
        return placeholder

    def value(self, value: Any) -> str:
        """A placeholder for a value."""
        placeholder = f":v{len(self.values)}"
        self.values[placeholder] = self._serialize(value)
        return placeholder


Condition = Callable[[Rendering], str]


def absent(attribute: str) -> Condition:
    """The item, or this attribute of it, does not exist."""
    return lambda r: f"attribute_not_exists({r.name(attribute)})"


def equals(attribute: str, value: Any) -> Condition:
    """The attribute equals the value."""
    return lambda r: f"{r.name(attribute)} = {r.value(value)}"


def below(attribute: str, value: Any) -> Condition:
    """The attribute is less than the value."""
    return lambda r: f"{r.name(attribute)} < {r.value(value)}"


def at_most(attribute: str, value: Any) -> Condition:
    """The attribute is less than or equal to the value."""
    return lambda r: f"{r.name(attribute)} <= {r.value(value)}"


def at_least(attribute: str, value: Any) -> Condition:
    """The attribute is greater than or equal to the value."""
    return lambda r: f"{r.name(attribute)} >= {r.value(value)}"


def above(attribute: str, value: Any) -> Condition:
    """The attribute is greater than the value."""
    return lambda r: f"{r.name(attribute)} > {r.value(value)}"


def between(attribute: str, low: Any, high: Any) -> Condition:
    """The attribute is between the two values, both included."""
    return lambda r: f"{r.name(attribute)} BETWEEN {r.value(low)} AND {r.value(high)}"


def shorter(attribute: str, length: int) -> Condition:
    """The list or set has fewer than `length` members."""
    return lambda r: f"size({r.name(attribute)}) < {r.value(length)}"


def one_of(attribute: str, values: tuple[Any, ...]) -> Condition:
    """The attribute is one of the values."""
    return lambda r: f"{r.name(attribute)} IN ({', '.join(r.value(value) for value in values)})"


def all_of(*conditions: Condition) -> Condition:
    """All of the conditions hold."""
    return lambda r: " AND ".join(f"({condition(r)})" for condition in conditions)


def any_of(*conditions: Condition) -> Condition:
    """At least one of the conditions holds."""
    return lambda r: " OR ".join(f"({condition(r)})" for condition in conditions)


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole row."""

    row: Row
    condition: Condition | None = None

    def when(self, *conditions: Condition) -> Put:
        """Only if all conditions hold for the current row."""
        return replace(self, condition=all_of(*conditions))


@dataclass(frozen=True, slots=True)
class Check:
    """Write nothing, but fail the transaction unless the condition holds."""

    schema: TableSchema
    key: Key
    condition: Condition


@dataclass(frozen=True, slots=True)
class Update:
    """Change some attributes of one row."""

    schema: TableSchema
    key: Key
    assigned: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    condition: Condition | None = None
    increments: Mapping[str, int] = field(default_factory=dict)
    appended: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)
    sealed: tuple[str, ...] = ()
    """Encrypted attributes whose values come from `row`; they are encrypted when written."""
    row: BaseModel | None = None

    def add(self, **changes: int) -> Update:
        """Add to existing attributes; a negative change subtracts, zero does nothing."""
        wanted = {name: change for name, change in changes.items() if change}
        return replace(self, increments={**self.increments, **wanted})

    def count(self, **changes: int) -> Update:
        """Add to numbers; a missing attribute or row starts at zero."""
        return replace(self, counts={**self.counts, **changes})

    def include(self, **members: frozenset[str]) -> Update:
        """Add members to sets; a missing attribute or row is created. Idempotent.

        DynamoDB has no empty sets, so each set needs a member.
        """
        assert all(members.values()), f"no members for {sorted(members)}"
        return replace(self, members={**self.members, **members})

    def append(self, **values: Any) -> Update:
        """Append a member to existing lists."""
        return replace(self, appended={**self.appended, **values})

    def assign(self, **values: Any) -> Update:
        """Set attributes to these values."""
        return replace(self, assigned={**self.assigned, **values})

    def begin_with(self, **values: Any) -> Update:
        """Set attributes to these values unless they exist."""
        return replace(self, initial={**self.initial, **values})

    def when(self, *conditions: Condition) -> Update:
        """Only if all conditions hold for the current row."""
        return replace(self, condition=all_of(*conditions))

    def expression(self, rendering: Rendering) -> str:
        """The UpdateExpression."""
        clauses = []
        terms = [f"{rendering.name(n)} = {rendering.value(v)}" for n, v in self.assigned.items()]
        for name, value in self.initial.items():
            attribute = rendering.name(name)
            terms.append(f"{attribute} = if_not_exists({attribute}, {rendering.value(value)})")
        for name, change in self.increments.items():
            attribute, operator = rendering.name(name), "+" if change > 0 else "-"
            terms.append(f"{attribute} = {attribute} {operator} {rendering.value(abs(change))}")
        for name, value in self.appended.items():
            attribute = rendering.name(name)
            terms.append(f"{attribute} = list_append({attribute}, {rendering.value([value])})")
        if terms:
            clauses.append("SET " + ", ".join(terms))
        if self.removed:
            clauses.append("REMOVE " + ", ".join(rendering.name(name) for name in self.removed))
        added = {**self.counts, **self.members}
        if added:
            terms = [f"{rendering.name(n)} {rendering.value(v)}" for n, v in added.items()]
            clauses.append("ADD " + ", ".join(terms))
        return " ".join(clauses)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one row: for data keys (crypto-shredding) and rows that moved elsewhere."""

    schema: TableSchema
    key: Key
    condition: Condition | None = None

    def when(self, *conditions: Condition) -> Delete:
        """Only if all conditions hold for the current row."""
        return replace(self, condition=all_of(*conditions))


Write = Put | Check | Update | Delete


def put(row: Row) -> Put:
    """Write `row`."""
    return Put(row)


def check(model: type[Row], key: Key, *conditions: Condition) -> Check:
    """Fail the transaction unless the conditions hold for the row at `key`."""
    return Check(TableSchema.of(model), key, all_of(*conditions))


def delete(row: Row) -> Delete:
    """Delete `row` if it exists."""
    return Delete(TableSchema.of(type(row)), key_of(row))


def update(model: type[Row], key: Key) -> Update:
    """Change the row at `key`; without a condition this creates a missing row."""
    return Update(TableSchema.of(model), key)


def change(before: RowT, after: RowT, model: type[Row] | None = None) -> Update:
    """Write the difference between two states of a row; None and empty sets are removed.

    `model` is the table's model, if the states are views with fewer fields.
    """
    schema = TableSchema.of(model or type(before))
    assert not schema.packed, f"rows of {schema.name} have packed fields and are only put"
    assigned: dict[str, Any] = {}
    removed: list[str] = []
    sealed: list[str] = []
    old, new = before.__dict__, after.__dict__
    for name, field_info in type(before).model_fields.items():
        value = new[name]
        if value == old[name]:
            continue
        assert name not in schema.key_names, f"{schema.name}.{name} is a key and cannot change"
        encrypted = name in schema.encrypted
        if value is None or value == NO_MEMBERS:
            removed.append(name)
        elif encrypted and value == field_info.get_default(call_default_factory=True):
            removed.append(name)
        elif encrypted:
            sealed.append(name)
        else:
            assigned[name] = value
    key = {name: old[name] for name in schema.key_names}
    return Update(schema, key, assigned, tuple(removed), sealed=tuple(sealed), row=after)


def key_of(row: Row) -> Key:
    """The row's key."""
    schema = TableSchema.of(type(row))
    return {name: getattr(row, name) for name in schema.key_names}
