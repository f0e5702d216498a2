"""Expressions of one request, read together: each combination once, then from memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.conditions import Condition, read_condition
from simulation.dynamodb.expressions.ranges import Term, read_terms
from simulation.dynamodb.expressions.reading import Operand, Reader, Values
from simulation.dynamodb.expressions.updates import Update, read_update
from simulation.dynamodb.values import canonical_item

Names = tuple[tuple[str, str], ...]

NAMES: Final = "ExpressionAttributeNames"
VALUES: Final = "ExpressionAttributeValues"
_REMEMBERED: Final = 8192
_NO_VALUES: Final[Values] = {}
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

    def given(self, values: Values | None) -> Values:
        """The request's values as DynamoDB keeps them, all of them used and none missing.

        Without an expression they are not looked at: `stray_part` is the error then.
        """
        if self.is_empty or (values is None and not self.values):
            return _NO_VALUES
        if values is not None and not values:
            raise _empty(VALUES)
        kept = canonical_item(values or _NO_VALUES)
        if kept.keys() != self.values:
            raise _other(kept.keys() - self.values, self.values - kept.keys())
        for operand, what in self.operands:
            operand.judge(kept, what)
        return kept


def compiled(request: Mapping[str, Any]) -> Compiled:
    """What the expressions of a request say. Raises ValidationException, or Unsupported."""
    get = request.get
    names = get(NAMES)
    made = _compiled(
        get("UpdateExpression"),
        get("ConditionExpression"),
        get("FilterExpression"),
        get("KeyConditionExpression"),
        get("ProjectionExpression"),
        tuple(names.items()) if names else (),
    )
    if names is not None and not names and not made.is_empty:
        raise _empty(NAMES)
    return made


def stray_part(request: Mapping[str, Any]) -> str | None:
    """Why the names or values of a request without any expression are refused, also empty ones."""
    given = [part for part in (NAMES, VALUES) if request.get(part) is not None]
    if not given or any(request.get(kind) is not None for kind in _KINDS.values()):
        return None
    return f"{given[0]} can only be specified when using expressions"


def judge_stray_part(request: Mapping[str, Any]) -> None:
    """Raises ValidationException for names or values without any expression to use them."""
    stray = stray_part(request)
    if stray:
        raise invalid(stray)


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
    if unused and not is_empty:
        raise _unused(NAMES, unused)
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
    return _unused(VALUES, unused)


def _unused(part: str, keys: Any) -> Exception:
    listed = ", ".join(sorted(keys))
    return invalid(f"Value provided in {part} unused in expressions: keys: {{{listed}}}")


def _empty(part: str) -> Exception:
    return invalid(f"{part} must not be empty")
