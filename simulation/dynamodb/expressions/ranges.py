"""Key conditions: one partition, and at most one range of its sort keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.conditions import COMPARISONS
from simulation.dynamodb.expressions.reading import Reader, Values
from simulation.dynamodb.values import Plain, kind_of, plain

_NOT_SUPPORTED: Final = "Query key condition not supported"


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a key attribute; `second` is BETWEEN's upper bound."""

    name: str
    operator: str
    first: str
    second: str | None


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The partition that is asked for, and bounds of the sort key with their operators."""

    partition: Plain
    bounds: tuple[tuple[str, Plain], ...]


def read_terms(reader: Reader) -> tuple[Term, ...]:
    """The terms that the whole text is."""
    terms = []
    while True:
        name = reader.name()
        operator = reader.take("=", "BETWEEN", *COMPARISONS)
        first, second = reader.value(), None
        if operator == "BETWEEN":
            reader.take("AND")
            second = reader.value()
        terms.append(Term(name, operator, first, second))
        if not reader.skip("AND"):
            reader.end()
            return tuple(terms)


def key_range(
    terms: tuple[Term, ...],
    values: Values,
    keys: tuple[str, str | None],
    types: dict[str, str],
) -> KeyRange:
    """What the terms ask of a table or index with these keys. Raises ValidationException."""
    by_name: dict[str, Term] = {}
    for term in terms:
        if term.name in by_name:
            raise invalid("KeyConditionExpressions must only contain one condition per key")
        by_name[term.name] = term
    partition_name, sort_name = keys
    if partition_name not in by_name or by_name.keys() - {partition_name, sort_name}:
        raise invalid(f"Query condition missed key schema element: {partition_name}")
    for term in terms:
        _judge_types(term, values, types)
    asked = by_name[partition_name]
    if asked.operator != "=":
        raise invalid(_NOT_SUPPORTED)
    term_of_sort = by_name.get(sort_name) if sort_name else None
    bounds = () if term_of_sort is None else _bounds(term_of_sort, values)
    return KeyRange(_not_empty(plain(values[asked.first]), asked.name), bounds)


def _judge_types(term: Term, values: Values, types: dict[str, str]) -> None:
    for value in (term.first, term.second):
        if value is not None and kind_of(values[value]) != types[term.name]:
            raise invalid(
                "One or more parameter values were invalid: Condition parameter type does not "
                "match schema type"
            )


def _not_empty(value: Plain, name: str) -> Plain:
    if value in ("", b""):
        raise invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            f"cannot contain an empty string value. Key: {name}"
        )
    return value


def _bounds(term: Term, values: Values) -> tuple[tuple[str, Plain], ...]:
    value = _not_empty(plain(values[term.first]), term.name)
    if term.operator == "=":
        return ((">=", value), ("<=", value))
    if term.second is None:
        return ((term.operator, value),)
    high = _not_empty(plain(values[term.second]), term.name)
    if value > high:
        raise invalid(
            "Invalid KeyConditionExpression: The BETWEEN operator requires upper bound to be "
            "greater than or equal to lower bound;"
        )
    return ((">=", value), ("<=", high))
