"""Random conditions and updates, built with the same functions as in the repositories."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from runtime.dynamodb.expressions import (
    Condition,
    Rendering,
    Update,
    above,
    absent,
    all_of,
    any_of,
    at_least,
    at_most,
    below,
    between,
    equals,
    one_of,
    shorter,
)
from runtime.dynamodb.table_schema import TableSchema
from tests.support.differential.tables import INDEX_KEYS
from tests.support.differential.values import ATTRIBUTES, USUAL, USUALLY, Values

_ORDERS = (below, at_most, at_least, above)
_SPECIAL = ("increments", "counts", "appended", "members")
_FITTING = {"N": ("increments", "counts"), "L": ("appended",), "SS": ("members",)}
_NO_SCHEMA: Any = TableSchema  # an update's own expression needs no schema


def rendering() -> Rendering:
    """An update whose values are typed already, except those that it generates."""
    return Rendering(_typed)


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return {"L": [_typed(each) for each in value]}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, frozenset):
        return {"SS": sorted(value)}
    return value


class Expressions:
    """Draws from one seeded generator; `forms` lists what was drawn since it was last cleared."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._values = Values(dice)
        self.forms: list[str] = []

    def condition(self) -> Condition:
        """A condition, one or two deep, as the repositories join them."""
        pick = self._dice.random()
        if pick < 0.6:
            return self._single()
        parts = [self._some_of() for _ in range(self._dice.randint(1, 3))]
        return self._joined(parts)

    def filter(self) -> Condition:
        """A filter; DynamoDB refuses keys in it."""
        return self._single(keys=())

    def _some_of(self) -> Condition:
        if self._dice.random() < 0.75:
            return self._single()
        return self._joined([self._single() for _ in range(self._dice.randint(2, 3))])

    def _joined(self, parts: list[Condition]) -> Condition:
        """Joined parts in parentheses; each needs two of its kind."""
        every = self._dice.random() < 0.5
        self.forms.append("all_of" if every else "any_of")
        return all_of(*parts) if every else any_of(*parts)

    def _single(self, keys: tuple[str, ...] = ("p",)) -> Condition:
        dice, name = self._dice, self._dice.choice(ATTRIBUTES)

        def value() -> Any:
            return self._values.value() if dice.random() < 0.3 else self._values.of_attribute(name)

        def scalar() -> Any:
            usual = USUAL.get(name, INDEX_KEYS.get(name, "S"))
            if usual in ("S", "N") and dice.random() < USUALLY:
                return self._values.of_kind(usual)
            return value() if dice.random() < 0.05 else self._values.of_kind(dice.choice("SNB"))

        makers: list[tuple[str, Callable[[], Condition]]] = [
            ("absent", lambda: absent(dice.choice((name, *keys)))),
            ("exists", lambda: _exists(dice.choice((name, *keys)))),
            ("between", lambda: between(name, *self._two())),
            ("shorter", lambda: shorter(name, dice.randint(0, 3))),
            ("one_of", lambda: one_of(name, tuple(value() for _ in range(dice.randint(1, 3))))),
            ("begins_with", lambda: _begins(name, self._values.of_kind("S"))),
            *(("equals", lambda: equals(name, value())) for _ in range(2)),
            *((each.__name__, lambda each=each: each(name, scalar())) for each in _ORDERS * 2),
        ]
        form, make = dice.choice(makers)
        self.forms.append(form)
        return make()

    def _two(self) -> tuple[Any, Any]:
        """Bounds, mostly in order."""
        low, high = self._dice.choice(
            ((({"N": "-1"}), {"N": "9"}), ({"S": "a"}, {"S": "g1"}), ({"N": "2"}, {"N": "2"}))
        )
        return (high, low) if self._dice.random() < 0.05 else (low, high)

    def update(self, rendered: Rendering) -> str:
        """An UpdateExpression of any clauses, no attribute twice."""
        dice = self._dice
        update = Update(_NO_SCHEMA, {})
        for name in dice.sample(ATTRIBUTES, dice.randint(1, 4)):
            form = dice.choice(self._forms_of(name))
            self.forms.append(form)
            update = self._with(update, form, name)
        return update.expression(rendered)

    def _forms_of(self, name: str) -> tuple[str, ...]:
        """What may be done with an attribute, mostly what fits its type."""
        always = ("assigned", "removed", "initial")
        if name in INDEX_KEYS or self._dice.random() > USUALLY:
            return always if name in INDEX_KEYS else _SPECIAL
        return (*always, *_FITTING.get(USUAL[name], ()))

    def _with(self, update: Update, form: str, name: str) -> Update:
        dice, values = self._dice, self._values
        match form:
            case "assigned":
                return update.assign(**{name: values.of_attribute(name)})
            case "removed":
                return Update(**{**_fields(update), "removed": (*update.removed, name)})
            case "initial":
                return update.begin_with(**{name: values.of_attribute(name)})
            case "increments":
                return update.add(**{name: dice.choice((1, -1, 7, 10**37, -(10**20)))})
            case "appended":
                return update.append(**{name: values.value()})
            case "counts":
                return update.count(**{name: dice.choice((1, -3, 0))})
        return update.include(**{name: frozenset(dice.sample(("x", "y", "q"), 2))})


def _fields(update: Update) -> dict[str, Any]:
    return {name: getattr(update, name) for name in update.__dataclass_fields__}


def _exists(name: str) -> Condition:
    return lambda r: f"attribute_exists({r.name(name)})"


def _begins(name: str, value: Any) -> Condition:
    return lambda r: f"begins_with({r.name(name)}, {r.value(value)})"
