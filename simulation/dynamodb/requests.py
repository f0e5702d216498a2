"""What requests may have in them, and answers in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from simulation.dynamodb.errors import Unsupported, invalid
from simulation.dynamodb.values import Item

Request = Mapping[str, Any]
Answer = dict[str, Any]

_OK: Final = {"HTTPStatusCode": 200, "RetryAttempts": 0, "HTTPHeaders": {}}
EXPRESSION_PARTS: Final = frozenset({"ExpressionAttributeNames", "ExpressionAttributeValues"})
WRITE_PARTS: Final = EXPRESSION_PARTS | {
    "TableName",
    "ConditionExpression",
    "ReturnValuesOnConditionCheckFailure",
}
PROJECTION_PARTS: Final = frozenset({"ProjectionExpression", "ExpressionAttributeNames"})


def only(request: Request, known: frozenset[str], what: str) -> None:
    """Raises Unsupported for a parameter that this engine would pass over."""
    if not request.keys() <= known:
        raise Unsupported(f"{what} with {sorted(request.keys() - known)}")


def answer(**parts: Any) -> Answer:
    """A successful answer."""
    parts["ResponseMetadata"] = _OK
    return parts


def judge_length(name: str, length: int, most: int) -> None:
    """Raises ValidationException for a list that has no members or too many."""
    if not 0 < length <= most:
        bound = f"less than or equal to {most}" if length else "greater than or equal to 1"
        raise invalid(
            f"1 validation error detected: Value at '{name}' failed to satisfy constraint: Member "
            f"must have length {bound}"
        )


def projected(item: Item, wanted: tuple[str, ...] | None) -> Item:
    """What is asked for of an item: a dictionary of its own, with values that are shared."""
    if wanted is None:
        return dict(item)
    return {name: item[name] for name in wanted if name in item}
