"""What DynamoDB's refusals mean: a condition that failed, something that passes, or a fault."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

TRANSIENT_REASONS = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
)
"""Of a canceled transaction, by its parts (DynamoDB API reference, TransactWriteItems)."""
TRANSIENT_ERRORS = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class TransactionRefused(Exception):
    """Conditions failed: `failed` is the item as it stood, by the position of its refused write."""

    def __init__(self, failed: Mapping[int, Mapping[str, Any]]) -> None:
        super().__init__(f"conditions failed for writes {sorted(failed)}")
        self.failed = failed


def transient_reason(canceled: ClientError) -> str:
    """The transient reason of a canceled transaction.

    Raises TransactionRefused when a condition failed, the error itself for every other reason.
    """
    response: Any = canceled.response
    listed = response.get("CancellationReasons", [])
    failed = {
        position: reason.get("Item", {})
        for position, reason in enumerate(listed)
        if reason.get("Code") == "ConditionalCheckFailed"
    }
    if failed:
        raise TransactionRefused(failed) from canceled
    codes = {reason.get("Code") for reason in listed} - {"None", None}
    if codes and codes <= TRANSIENT_REASONS:
        return ", ".join(sorted(codes))
    raise canceled


def transient_code(error: ClientError) -> str:
    """The code of an error that passes; raises every other one."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A 5xx whose body nobody could read has no code of DynamoDB's, and is no answer either.
    if code in TRANSIENT_ERRORS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return code
    raise error
