"""Updates: a new item from an old one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulation.dynamodb.errors import invalid
from simulation.dynamodb.expressions.reading import Reader, Values
from simulation.dynamodb.numbers import add
from simulation.dynamodb.values import SETS, Item, kind_of, set_of

Update = Callable[[Item, Values], Item]
Step = Callable[[Item, Item, Values], None]
"""Changes the new item, looking at the old one."""

_CLAUSES: Final = ("SET", "REMOVE", "ADD")


def read_update(reader: Reader) -> tuple[Update, frozenset[str]]:
    """The update that the whole text is, and the attributes that it changes."""
    steps: list[Step] = []
    touched: list[str] = []
    clauses: set[str] = set()
    while not reader.ended:
        clause = reader.take(*_CLAUSES)
        if clause in clauses:
            raise reader.unknown(f"{clause} comes twice")
        clauses.add(clause)
        while True:
            name = reader.name()
            if name in touched:
                raise _overlap(name)
            touched.append(name)
            steps.append(_READERS[clause](reader, name))
            if not reader.skip(","):
                break
    if not steps:
        raise invalid("Invalid UpdateExpression: The expression can not be empty;")

    def apply(old: Item, values: Values) -> Item:
        new = dict(old)
        for step in steps:
            step(old, new, values)
        return new

    return apply, frozenset(touched)


def _overlap(name: str) -> Exception:
    return invalid(
        "Invalid UpdateExpression: Two document paths overlap with each other; must remove or "
        f"rewrite one of these paths; path one: [{name}], path two: [{name}]"
    )


# -------------------------------------------------------------------- REMOVE and ADD


def _remove(_: Reader, name: str) -> Step:
    return lambda _old, new, _values: (new.pop(name, None), None)[1]


def _add(reader: Reader, name: str) -> Step:
    added = reader.value()
    reader.expect("ADD", ("N", *SETS), added)

    def step(old: Item, new: Item, values: Values) -> None:
        ((kind, content),) = values[added].items()
        before = old.get(name)
        if before is None:
            new[name] = values[added]
        elif kind not in before:
            raise _wrong_type()
        elif kind == "N":
            new[name] = {"N": add(before["N"], content, "+")}
        else:
            new[name] = set_of(kind, {*before[kind], *content})

    return step


# -------------------------------------------------------------------- SET


def _set(reader: Reader, name: str) -> Step:
    reader.take("=")
    word = reader.peek()
    if word in ("if_not_exists", "list_append"):
        reader.take()
        reader.take("(")
        source = reader.name()
        reader.take(",")
        value = reader.value()
        reader.take(")")
        return (_initial if word == "if_not_exists" else _append)(reader, name, source, value)
    if not word.startswith(":"):
        return _arithmetic(reader, name)
    value = reader.value()

    def assign(_: Item, new: Item, values: Values) -> None:
        new[name] = values[value]

    return assign


def _initial(_: Reader, name: str, source: str, value: str) -> Step:
    def step(old: Item, new: Item, values: Values) -> None:
        new[name] = old.get(source, values[value])

    return step


def _append(reader: Reader, name: str, source: str, value: str) -> Step:
    reader.expect("list_append", ("L",), value)

    def step(old: Item, new: Item, values: Values) -> None:
        before = old.get(source)
        if before is None:
            raise _missing()
        if kind_of(before) != "L":
            raise _wrong_type()
        new[name] = {"L": [*before["L"], *values[value]["L"]]}

    return step


def _arithmetic(reader: Reader, name: str) -> Step:
    source = reader.name()
    sign = reader.take("+", "-")
    value = reader.value()
    reader.expect(sign, ("N",), value)

    def step(old: Item, new: Item, values: Values) -> None:
        before = old.get(source)
        if before is None:
            raise _missing()
        if kind_of(before) != "N":
            raise _wrong_type()
        new[name] = {"N": add(before["N"], values[value]["N"], sign)}

    return step


def _missing() -> Exception:
    return invalid("The provided expression refers to an attribute that does not exist in the item")


def _wrong_type() -> Exception:
    return invalid("An operand in the update expression has an incorrect data type")


_READERS: Final = {"SET": _set, "REMOVE": _remove, "ADD": _add}
