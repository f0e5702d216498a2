"""Expressions of one request, read together: each combination once, then from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from botocore.exceptions import ClientError

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.conditions import Condition, read_condition
from simulation.dynamodb.expressions.ranges import Term, read_terms
from simulation.dynamodb.expressions.reading import Operand, Reader, Values
from simulation.dynamodb.expressions.updates import Update, read_update
from simulation.dynamodb.values import canonical_item

Names = tuple[tuple[str, str], ...]

_REMEMBERED: Final = 8192
_NO_EXPRESSIONS: Final = " can only be specified when using expressions"
_KINDS: Final = {
    "update": "UpdateExpression",
    "condition": "ConditionExpression",
    "filter": "FilterExpression",
    "key": "KeyConditionExpression",
    "projection": "ProjectionExpression",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """The expressions of one request, where it has them."""

    update: Update | None
    touched: frozenset[str]
    condition: Condition | None
    keep: Condition | None
    key: tuple[Term, ...]
    projection: tuple[str, ...] | None
    values: frozenset[str]
    operands: tuple[tuple[Operand, str], ...]
    is_empty: bool
    """Whether the request has no expression."""

    def given(self, values: Values) -> Values:
        """The request's values as DynamoDB keeps them, all of them used and none missing."""
        kept = canonical_item(values) if values else values
        if kept.keys() != self.values:
            unused, missing = kept.keys() - self.values, self.values - kept.keys()
            raise _without_expressions("Values") if self.is_empty else _other(unused, missing)
        for operand, what in self.operands:
            operand.judge(kept, what)
        return kept


def compiled(request: Mapping[str, Any]) -> Compiled:
    """What the expressions of a request say. Raises ValidationException, or Unsupported."""
    get = request.get
    names = get("ExpressionAttributeNames")
    return _compiled(
        get("UpdateExpression"),
        get("ConditionExpression"),
        get("FilterExpression"),
        get("KeyConditionExpression"),
        get("ProjectionExpression"),
        tuple(names.items()) if names else (),
    )


@lru_cache(_REMEMBERED)
def _compiled(
    update: str | None,
    condition: str | None,
    keep: str | None,
    key: str | None,
    projection: str | None,
    names: Names,
) -> Compiled:
    is_empty = not any(each is not None for each in (update, condition, keep, key, projection))
    if is_empty and names:
        raise _without_expressions("Names")
    reading = _Reading(dict(names))
    step, touched = reading.read("update", update, read_update) or (None, frozenset())
    made = Compiled(
        update=step,
        touched=touched,
        condition=reading.read("condition", condition, read_condition),
        keep=reading.read("filter", keep, read_condition),
        key=reading.read("key", key, read_terms) or (),
        projection=reading.read("projection", projection, _read_projection),
        values=frozenset(reading.values),
        operands=tuple(reading.operands),
        is_empty=is_empty,
    )
    unused = dict(names).keys() - reading.names
    if unused:
        raise _unused("Names", unused)
    return made


class _Reading:
    def __init__(self, names: Mapping[str, str]) -> None:
        self._given = names
        self.names: set[str] = set()
        self.values: set[str] = set()
        self.operands: list[tuple[Operand, str]] = []

    def read(self, kind: str, text: str | None, how: Callable[[Reader], Any]) -> Any:
        if text is None:
            return None
        if not text.strip():
            raise invalid(f"Invalid {_KINDS[kind]}: The expression can not be empty;")
        reader = Reader(text, self._given)
        result = how(reader)
        self.names |= reader.used_names
        self.values |= reader.used_values
        self.operands += [(operand, _KINDS[kind]) for operand in reader.operands]
        return result


def _read_projection(reader: Reader) -> tuple[str, ...]:
    wanted = [reader.name()]
    while reader.skip(","):
        wanted.append(reader.name())
    reader.end()
    if len(set(wanted)) != len(wanted):
        raise invalid("Invalid ProjectionExpression: Two document paths overlap with each other;")
    return tuple(wanted)


def _other(unused: Set[str], missing: Set[str]) -> Exception:
    if missing:
        return invalid(
            "Invalid expression: An expression attribute value used in expression is not defined; "
            f"attribute value: {min(missing)}"
        )
    return _unused("Values", unused)


def _unused(what: str, keys: Any) -> Exception:
    return invalid(
        f"Value provided in ExpressionAttribute{what} unused in expressions: keys: "
        f"{{{', '.join(sorted(keys))}}}"
    )


def _without_expressions(what: str) -> Exception:
    return invalid(f"ExpressionAttribute{what}{_NO_EXPRESSIONS}")


def is_without_expressions(error: ClientError) -> bool:
    """Whether a request was refused for names or values although it has no expression."""
    return bool(error.response["Error"]["Message"].endswith(_NO_EXPRESSIONS))
