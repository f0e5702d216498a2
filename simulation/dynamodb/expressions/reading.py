"""The words of an expression, and what all kinds of expressions have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from simulation.dynamodb.errors import Unsupported, invalid
from simulation.dynamodb.values import SCALARS, Value, kind_of, ordered

Values = Mapping[str, Value]
"""What the placeholders of an expression stand for."""

_WORD: Final = re.compile(r"\s*(#\w+|:\w+|[A-Za-z_]\w*|<=|>=|<>|[=<>(),+\-.])")
_NAME: Final = re.compile(r"[A-Za-z_]\w*\Z")
_OPERAND: Final = "Incorrect operand type for operator or function; operator or function:"


@dataclass(frozen=True, slots=True)
class Operand:
    """Values whose types are judged before any item is looked at."""

    operator: str
    values: tuple[str, ...]
    kinds: tuple[str, ...]

    def judge(self, values: Values, what: str) -> None:
        """Raises ValidationException for a type that the operator does not take."""
        for each in self.values:
            kind = kind_of(values[each])
            if kind not in self.kinds:
                raise invalid(f"Invalid {what}: {_OPERAND} {self.operator}, operand type: {kind}")
        if self.operator == "BETWEEN":
            (one, low), (other, high) = (ordered(values[each]) for each in self.values)
            if one != other:
                raise invalid(
                    f"Invalid {what}: The BETWEEN operator requires same data type for lower and "
                    "upper bounds;"
                )
            if low > high:
                raise invalid(
                    f"Invalid {what}: The BETWEEN operator requires upper bound to be greater than "
                    "or equal to lower bound;"
                )


class Reader:
    """Goes through the words of one expression and notes the placeholders that it meets."""

    def __init__(self, text: str, names: Mapping[str, str]) -> None:
        self.text = text
        self._words = _words(text)
        self._at = 0
        self._names = names
        self.used_names: set[str] = set()
        self.used_values: set[str] = set()
        self.operands: list[Operand] = []

    @property
    def ended(self) -> bool:
        """Whether all words were read."""
        return self._at == len(self._words)

    def peek(self) -> str:
        """The next word; empty at the end."""
        return "" if self.ended else self._words[self._at]

    def take(self, *wanted: str) -> str:
        """The next word, which must be one of `wanted` if any are named."""
        word = self.peek()
        if not word or (wanted and word not in wanted):
            raise self.unknown(f"{' or '.join(wanted) or 'more'} was expected, not {word!r}")
        self._at += 1
        return word

    def skip(self, word: str) -> bool:
        """Go past `word` if it comes next."""
        if self.peek() != word:
            return False
        self._at += 1
        return True

    def name(self) -> str:
        """An attribute of the item itself, by placeholder or as it is called."""
        word = self.take()
        if word.startswith("#"):
            if word not in self._names:
                raise invalid(
                    "Invalid expression: An expression attribute name used in the document path is "
                    f"not defined; attribute name: {word}"
                )
            self.used_names.add(word)
            word = self._names[word]
        elif not _NAME.match(word):
            raise self.unknown(f"an attribute was expected, not {word!r}")
        if self.peek() == ".":
            raise self.unknown("paths into an attribute")
        return word

    def value(self) -> str:
        """A placeholder of a value."""
        word = self.take()
        if not word.startswith(":"):
            raise self.unknown(f"a value was expected, not {word!r}")
        self.used_values.add(word)
        return word

    def expect(self, operator: str, kinds: tuple[str, ...], *values: str) -> None:
        """Values that an operator takes in these types only."""
        self.operands.append(Operand(operator, values, kinds))

    def expect_scalars(self, operator: str, *values: str) -> None:
        """Values that are compared by their order."""
        self.expect(operator, SCALARS, *values)

    def end(self) -> None:
        """There must be no more words."""
        if not self.ended:
            raise self.unknown(f"{self.peek()!r} follows its end")

    def unknown(self, what: str) -> Unsupported:
        """The error for a form that the runtime does not build."""
        return Unsupported(f"{what}: {self.text!r}")


def _words(text: str) -> list[str]:
    words, at, text = [], 0, text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise Unsupported(f"{text[at:]!r} in {text!r}")
        words.append(found.group(1))
        at = found.end()
    return words
