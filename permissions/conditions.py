"""Condition operators of IAM policies, as far as the platform's policies use them.

Source: IAM User Guide, "IAM JSON policy elements: Condition operators" and "Conditions with
multiple context keys or values". An operator that is not listed here is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

Context = Mapping[str, tuple[str, ...]]
"""Condition keys of one request with their values. A key that is absent is not in the request."""


class UnsupportedPolicy(Exception):
    """A policy uses something that this evaluator does not implement."""


class UnknownContext(Exception):
    """A condition asks for a key of which the recorded call does not say whether it was present."""


def conditions_hold(
    conditions: Mapping[str, Mapping[str, Any]], context: Context, unknown: frozenset[str]
) -> bool:
    """Whether all `conditions` of a statement hold.

    Names of keys are compared without regard to case. Raises UnknownContext if one of `unknown` is
    needed, UnsupportedPolicy for an operator that is not implemented.
    """
    present = {name.lower(): values for name, values in context.items()}
    return all(
        _holds(operator, key, _texts(wanted), present, unknown)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(
    operator: str, key: str, wanted: Sequence[str], present: Context, unknown: frozenset[str]
) -> bool:
    if key.lower() in unknown:
        raise UnknownContext(f"{operator} asks for {key}, which was not recorded")
    values = present.get(key.lower())
    if operator == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    quantifier, _, name = operator.rpartition(":")
    if name.endswith("IfExists"):
        if values is None:
            return True
        name = name.removesuffix("IfExists")
    if name not in _OPERATORS:
        raise UnsupportedPolicy(f"condition operator {operator} on {key}")
    matches, negated = _OPERATORS[name]
    if quantifier == "ForAllValues":
        return all(_is_met(matches, negated, value, wanted) for value in values or ())
    if quantifier == "ForAnyValue":
        return any(_is_met(matches, negated, value, wanted) for value in values or ())
    if quantifier:
        raise UnsupportedPolicy(f"condition operator {operator} on {key}")
    if values is None:
        return negated
    if len(values) > 1:
        raise UnsupportedPolicy(f"{operator} compares {key}, which has {len(values)} values")
    return _is_met(matches, negated, values[0], wanted)


def _is_met(
    matches: Callable[[str, str], bool], negated: bool, value: str, wanted: Iterable[str]
) -> bool:
    """One of `wanted` suffices; a negated operator is met if none matches."""
    return any(matches(value, each) for each in wanted) != negated


def _texts(wanted: Any) -> tuple[str, ...]:
    values = wanted if isinstance(wanted, list) else [wanted]
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


@cache
def pattern(text: str) -> re.Pattern[str]:
    """IAM's wildcards: `*` is any number of characters, `?` is exactly one.

    Raises UnsupportedPolicy for policy variables.
    """
    if "${" in text:
        raise UnsupportedPolicy(f"policy variable in {text}")
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in text)
    return re.compile("".join(parts), re.DOTALL)


def is_like(value: str, wanted: str) -> bool:
    """Whether the whole value matches a pattern with wildcards; case matters."""
    return pattern(wanted).fullmatch(value) is not None


def arn_is_like(value: str, wanted: str) -> bool:
    """As `is_like`, but each of the six parts of an ARN on its own."""
    parts, patterns = value.split(":", 5), wanted.split(":", 5)
    return len(parts) == len(patterns) == 6 and all(map(is_like, parts, patterns))


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _same_bool(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _less(value: str, wanted: str) -> bool:
    return float(value) < float(wanted)


_OPERATORS: Final[Mapping[str, tuple[Callable[[str, str], bool], bool]]] = {
    "ArnEquals": (arn_is_like, False),  # behaves like ArnLike (IAM User Guide)
    "ArnLike": (arn_is_like, False),
    "ArnNotEquals": (arn_is_like, True),
    "ArnNotLike": (arn_is_like, True),
    "Bool": (_same_bool, False),
    "NumericLessThan": (_less, False),
    "StringEquals": (_equal, False),
    "StringLike": (is_like, False),
    "StringNotEquals": (_equal, True),
    "StringNotLike": (is_like, True),
}
"""Each operator's comparison, and whether it is negated."""
