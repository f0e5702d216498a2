"""Lambda's event filtering, as far as the stacks use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulation.dynamodb import Unsupported


def passes(record: Any, pattern: Mapping[str, Any]) -> bool:
    """Whether a record fits a pattern: each named part has one of the values, or fits its rule.

    Lambda Developer Guide, "Control which events Lambda sends to your function".
    """
    if not isinstance(record, Mapping):
        return False
    for name, wanted in pattern.items():
        value = record.get(name)
        if isinstance(wanted, Mapping):
            if not passes(value, wanted):
                return False
        elif not _is_one_of(value, wanted):
            return False
    return True


def _is_one_of(value: Any, wanted: Sequence[Any]) -> bool:
    return any(_fits(value, each) for each in wanted)


def _fits(value: Any, wanted: Any) -> bool:
    match wanted:
        case str():
            return bool(value == wanted)
        case {"prefix": prefix}:
            return isinstance(value, str) and value.startswith(prefix)
        case {"anything-but": {"prefix": prefix}}:
            return isinstance(value, str) and not value.startswith(prefix)
        case {"anything-but": [*others]}:
            return isinstance(value, str) and value not in others
    raise Unsupported(f"the rule {wanted} of an event filter")
