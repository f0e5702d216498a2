"""Differences between AWS's local engine and AWS: by name, each with its source."""

from __future__ import annotations

from typing import Any, Final

from tests.support.differential.requests import Request

REASONS: Final = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"
)

MEASURED: Final = "https://github.com/paritysuite/dynamodb-conformance"
"""Tests that compare with AWS itself, and record the local engine's different answer."""

VALIDATION_AS_REASON: Final = "a write that cannot be done cancels its transaction"
"""Its reason is ValidationError (REASONS: "The provided expression refers to an attribute that does
not exist in the item" and others; for keys that do not match, MEASURED, pull requests 46 and 60);
the local engine refuses the whole request as invalid."""


ONE_ITEM_TWICE: Final = "a check and a write of one item are refused at once"
""""No two actions can target the same item. For example, you cannot both ConditionCheck and Update
the same item" (REASONS); the local engine judges conditions first."""

REASONS_NOT_REPORTED: Final = "a read that cannot be done has a reason"
"""A TransactGetItems with a key that does not match its table is canceled with a reason, which the
local engine leaves out (REASONS; MEASURED, tests/tier3/error-messages)."""

READS: Final = (
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html"
)
NOTHING_FOUND: Final = "finding nothing costs a read"
"""A Query "even if no data exists" (READS); the local engine charges nothing."""


_OF_ONE_WRITE: Final = (
    "An operand in the update expression has an incorrect data type",
    "DynamoDB only supports precision up to 38 digits",
    "Invalid attribute value type",
    "Number overflow. Attempting to store a number with magnitude larger than supported range",
    "One of the required keys was not given a value",
    "The number of conditions on the keys is invalid",
    "The provided expression refers to an attribute that does not exist in the item",
)
"""The local engine's message about an error in one write."""
CANCELED: Final = "TransactionCanceledException"
INVALID: Final = "ValidationException"


def known_difference(request: Request, local: Any, memory: Any) -> str | None:
    """The name of a known difference of the local engine; None for every other one."""
    if request.operation == "TransactWriteItems" and _is_validation_as_reason(local, memory):
        return VALIDATION_AS_REASON
    if "wrong: one item twice" in request.forms and memory.get("code") == INVALID:
        return ONE_ITEM_TWICE
    if request.operation == "TransactGetItems" and _are_reasons_missing(local, memory):
        return REASONS_NOT_REPORTED
    if request.operation == "Query" and _is_free_nothing(local, memory):
        return NOTHING_FOUND
    return None


def _are_reasons_missing(local: Any, memory: Any) -> bool:
    if local.get("code") not in (INVALID, CANCELED) or memory.get("code") != CANCELED:
        return False
    return not local["reasons"] and "ValidationError" in [code for code, _ in memory["reasons"]]


def _is_free_nothing(local: Any, memory: Any) -> bool:
    if not isinstance(local, list) or not isinstance(memory, list) or len(local) != len(memory):
        return False
    last = local[-1].get("ConsumedCapacity", {})
    return last.get("CapacityUnits") == 0 and not local[-1].get("ScannedCount")


def _is_validation_as_reason(local: Any, memory: Any) -> bool:
    if local.get("code") != INVALID or memory.get("code") != CANCELED:
        return False
    codes = [code for code, _ in memory["reasons"]]
    return local["said"].message in _OF_ONE_WRITE and "ValidationError" in codes
