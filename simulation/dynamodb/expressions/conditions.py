"""Conditions and filters: true or false of an item as it stands."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.reading import Reader, Values
from simulation.dynamodb.numbers import number
from simulation.dynamodb.values import Item, Value, ordered

Condition = Callable[[Item, Values], bool]

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def read_condition(reader: Reader) -> Condition:
    """The condition that the whole text is."""
    condition, _ = _either(reader)
    reader.end()
    return condition


def _either(reader: Reader) -> tuple[Condition, bool]:
    """Conditions with OR between them, and whether it is one that stands in parentheses."""
    first, enclosed = _both(reader)
    parts = [first]
    while reader.skip("OR"):
        parts.append(_both(reader)[0])
    if len(parts) == 1:
        return first, enclosed
    return _any(parts), False


def _both(reader: Reader) -> tuple[Condition, bool]:
    """Conditions with AND between them, and whether it is one that stands in parentheses."""
    first, enclosed = _single(reader)
    parts = [first]
    while reader.skip("AND"):
        parts.append(_single(reader)[0])
    if len(parts) == 1:
        return first, enclosed
    return _all(parts), False


def _all(parts: list[Condition]) -> Condition:
    """A loop: `all` over a generator takes twice as long, and this is where the time goes."""

    def every(item: Item, values: Values) -> bool:
        for part in parts:  # noqa: SIM110
            if not part(item, values):
                return False
        return True

    return every


def _any(parts: list[Condition]) -> Condition:
    def some(item: Item, values: Values) -> bool:
        for part in parts:  # noqa: SIM110
            if part(item, values):
                return True
        return False

    return some


def _single(reader: Reader) -> tuple[Condition, bool]:
    if reader.skip("("):
        inner, enclosed = _either(reader)
        reader.take(")")
        if enclosed:
            raise invalid("Invalid ConditionExpression: The expression has redundant parentheses;")
        return inner, True
    function = _FUNCTIONS.get(reader.peek())
    if function is not None:
        reader.take()
        reader.take("(")
        return function(reader), False
    return _comparison(reader), False


# -------------------------------------------------------------------- functions


def _exists(reader: Reader) -> Condition:
    name = reader.name()
    reader.take(")")
    return lambda item, _: name in item


def _not_exists(reader: Reader) -> Condition:
    name = reader.name()
    reader.take(")")
    return lambda item, _: name not in item


def _begins_with(reader: Reader) -> Condition:
    name = reader.name()
    reader.take(",")
    wanted = reader.value()
    reader.take(")")
    reader.expect("begins_with", ("S", "B"), wanted)

    def begins(item: Item, values: Values) -> bool:
        kind, content = ordered(item.get(name, {"NULL": True}))
        other, start = ordered(values[wanted])
        return kind == other and bool(content.startswith(start))

    return begins


def _size(reader: Reader) -> Condition:
    name = reader.name()
    reader.take(")")
    sign = reader.take("=", *COMPARISONS)
    wanted = reader.value()
    if sign != "=":
        reader.expect_scalars(sign, wanted)
    compare: Callable[[Any, Any], bool] = COMPARISONS.get(sign, operator.eq)

    def judge(item: Item, values: Values) -> bool:
        length = None if name not in item else _length(item[name])
        limit = values[wanted].get("N")
        return length is not None and limit is not None and compare(length, number(limit))

    return judge


def _length(value: Value) -> int | None:
    ((kind, content),) = value.items()
    if kind in ("N", "BOOL", "NULL"):
        return None
    if kind == "S":
        return len(content.encode("utf-16-le")) // 2
    return len(content)


_FUNCTIONS: Final = {
    "attribute_exists": _exists,
    "attribute_not_exists": _not_exists,
    "begins_with": _begins_with,
    "size": _size,
}

# -------------------------------------------------------------------- comparisons


def _comparison(reader: Reader) -> Condition:
    name = reader.name()
    sign = reader.take("=", "BETWEEN", "IN", *COMPARISONS)
    if sign == "=":
        return _equal(name, reader.value())
    if sign == "BETWEEN":
        return _between(name, reader)
    if sign == "IN":
        return _one_of(name, reader)
    return _compared(name, sign, reader)


def _equal(name: str, wanted: str) -> Condition:
    return lambda item, values: item.get(name) == values[wanted]


def _compared(name: str, sign: str, reader: Reader) -> Condition:
    wanted = reader.value()
    reader.expect_scalars(sign, wanted)
    compare = COMPARISONS[sign]

    def judge(item: Item, values: Values) -> bool:
        value = item.get(name)
        if value is None:
            return False
        kind, content = ordered(value)
        other, limit = ordered(values[wanted])
        return kind == other and compare(content, limit)

    return judge


def _between(name: str, reader: Reader) -> Condition:
    low = reader.value()
    reader.take("AND")
    high = reader.value()
    reader.expect_scalars("BETWEEN", low, high)

    def judge(item: Item, values: Values) -> bool:
        value = item.get(name)
        if value is None:
            return False
        kind, content = ordered(value)
        other, least = ordered(values[low])
        return kind == other and bool(least <= content <= ordered(values[high])[1])

    return judge


def _one_of(name: str, reader: Reader) -> Condition:
    reader.take("(")
    wanted = [reader.value()]
    while reader.skip(","):
        wanted.append(reader.value())
    reader.take(")")

    def judge(item: Item, values: Values) -> bool:
        value = item.get(name)
        return value is not None and any(value == values[each] for each in wanted)

    return judge
