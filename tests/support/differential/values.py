"""Random attribute values, keys and items: from a small range, so that requests collide."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from tests.support.differential.tables import INDEX_KEYS, INDEXED, NUMBERED, PLAIN

Value = dict[str, Any]
Item = dict[str, Value]

ATTRIBUTES: Final = ("a", "b", "c", "d", "g", "h")
PARTITIONS: Final = ("p1", "p2", "p3")
SORT_KEYS: Final = ("a", "b", "B", "é", "aa", "\U0001f600")
SORT_NUMBERS: Final = ("1", "2", "10", "-3", "1.5", "0")
USUAL: Final = {"a": "N", "b": "S", "c": "L", "d": "SS"}
"""The usual types of attributes: then most operations fit."""
USUALLY: Final = 0.8
TEXTS: Final = ("", "a", "b", "ab", "é", "Z", "zz", "0", "10", "9", "\U0001f600", "\uffff")
NUMBERS: Final = (
    *("0", "1", "-1", "2", "10", "9", "1.5", "1.50", "-0", "1e3", "0.1", "-7", "007", "+4", ".5"),
    *("123456789012345678901234567890", "9" * 38, "1e125", "-1E-130", "12345678901234567.25"),
)
BYTES: Final = (b"", b"\x00", b"a", b"\xff\x00")
_DEEPEST: Final = 2
_KINDS: Final = {"S": 8, "N": 10, "BOOL": 1, "NULL": 1, "B": 1, "SS": 2, "NS": 1, "BS": 1, "L": 2}


class Values:
    """Draws from one seeded generator."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice

    def value(self, depth: int = 0) -> Value:
        """Any value that is well-formed."""
        kinds = {**_KINDS, "M": 1}
        (kind,) = self.dice.choices(list(kinds), list(kinds.values()))
        return self.of_kind(kind, depth)

    def of_kind(self, kind: str, depth: int = 0) -> Value:
        """A well-formed value of this type."""
        dice, scalars = self.dice, {"S": TEXTS, "N": NUMBERS, "B": BYTES, "NULL": (True,)}
        if kind in scalars:
            return {kind: dice.choice(scalars[kind])}
        match kind:
            case "BOOL":
                return {"BOOL": dice.random() < 0.5}
            case "SS":
                return {"SS": dice.sample(("x", "y", "z", "a"), dice.randint(1, 3))}
            case "NS":
                return {"NS": dice.sample(("1", "2", "3.5", "-1"), dice.randint(1, 2))}
            case "BS":
                return {"BS": dice.sample(BYTES, dice.randint(1, 2))}
        if depth >= _DEEPEST:
            return {"S": "deep"}
        if kind == "L":
            return {"L": [self.value(depth + 1) for _ in range(dice.randint(0, 2))]}
        names = dice.sample(("m", "n", "o"), dice.randint(0, 2))
        return {"M": {name: self.value(depth + 1) for name in names}}

    def of_attribute(self, name: str) -> Value:
        """A value for an attribute: keys of indexes have their type."""
        if name == "g":
            return {"S": self.dice.choice(("g1", "g2"))}
        if name in INDEX_KEYS:
            return self.of_kind("N")
        return self.of_kind(USUAL[name]) if self.dice.random() < USUALLY else self.value()

    def key(self, table: str) -> Item:
        """A key of this table."""
        key: Item = {"p": {"S": self.dice.choice(PARTITIONS)}}
        if table == INDEXED:
            key["s"] = {"S": self.dice.choice(SORT_KEYS)}
        elif table == NUMBERED:
            key["s"] = {"N": self.dice.choice(SORT_NUMBERS)}
        return key

    def keys(self, table: str, most: int) -> list[Item]:
        """Some keys, each once."""
        keys = {repr(key): key for key in (self.key(table) for _ in range(most))}
        return list(keys.values())

    def item(self, table: str) -> Item:
        """An item of this table."""
        names = self.dice.sample(ATTRIBUTES, self.dice.randint(0, 5))
        return self.key(table) | {name: self.of_attribute(name) for name in names}

    def table(self) -> str:
        """A table."""
        return self.dice.choice((INDEXED, INDEXED, PLAIN, NUMBERED))
