"""CloudWatch's metric filters, as far as ours go: which log lines they count, and by how much.

The patterns are those that the CDK writes: comparisons of JSON fields, joined by && or ||, with
parentheses (CloudWatch Logs User Guide, "Filter pattern syntax for metric filters").
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]
_TOKEN = re.compile(
    r"\s*(?:(?P<mark>[()]|&&|\|\|)|(?P<field>\$[\w.]+)\s*"
    r'(?:IS (?P<truth>TRUE|FALSE)|(?P<sign>>=|=)\s*(?P<value>"(?:[^"\\]|\\.)*"|-?[\d.]+)))'
)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {"=": operator.eq, ">=": operator.ge}


@dataclass(frozen=True)
class MetricFilter:
    """A metric filter of a template."""

    pattern: str
    namespace: str
    name: str
    value: str
    dimensions: Mapping[str, str]

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> MetricFilter:
        """The filter with the properties of an AWS::Logs::MetricFilter."""
        (made,) = properties["MetricTransformations"]
        return cls(
            pattern=properties["FilterPattern"],
            namespace=made["MetricNamespace"],
            name=made["MetricName"],
            value=made["MetricValue"],
            dimensions={each["Key"]: each["Value"] for each in made.get("Dimensions", ())},
        )

    def counts(self, line: Line) -> float | None:
        """By how much a line counts; None if it does not: no number, or a dimension is missing."""
        if not matches(self.pattern, line):
            return None
        if any(field_of(line, each) is None for each in self.dimensions.values()):
            return None
        value = field_of(line, self.value) if self.value.startswith("$") else json.loads(self.value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number else None


def field_of(line: Line, path: str) -> Any:
    """The value at `$.a.b`; None if there is none."""
    found: Any = line
    for name in path.removeprefix("$.").split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def matches(pattern: str, line: Line) -> bool:
    """Whether the line satisfies the pattern. Raises ValueError for syntax that we do not use."""
    inner = pattern.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        raise ValueError(f"not a JSON pattern: {pattern}")
    return _Reader(inner[1:-1].strip()).whole(line)


class _Reader:
    """Reads one pattern from left to right; && binds no closer than ||, so they are not mixed."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def whole(self, line: Line) -> bool:
        result = self._joined(line)
        if self._at != len(self._tokens):
            raise ValueError(f"left over: {self._tokens[self._at :]}")
        return result

    def _joined(self, line: Line) -> bool:
        results, signs = [self._one(line)], set()
        while self._at < len(self._tokens) and self._tokens[self._at]["mark"] in ("&&", "||"):
            signs.add(self._tokens[self._at]["mark"])
            self._at += 1
            results.append(self._one(line))
        if len(signs) > 1:
            raise ValueError("&& and || without parentheses")
        return any(results) if signs == {"||"} else all(results)

    def _one(self, line: Line) -> bool:
        token = self._tokens[self._at]
        self._at += 1
        if token["mark"] == "(":
            result = self._joined(line)
            assert self._tokens[self._at]["mark"] == ")", "an unclosed parenthesis"
            self._at += 1
            return result
        found = field_of(line, token["field"])
        if token["truth"] is not None:
            return found is (token["truth"] == "TRUE")
        wanted = json.loads(token["value"])
        if isinstance(found, bool) or isinstance(found, str) != isinstance(wanted, str):
            return False
        return found is not None and _SIGNS[token["sign"]](found, wanted)


def _tokens(text: str) -> Iterator[Mapping[str, Any]]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"syntax that this evaluator does not know: {text[at:]}")
        yield found.groupdict()
        at = found.end()
