"""Classifies DynamoDB errors: a failed condition, a transient error, or an invalid request."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

_CONDITION_FAILED = "ConditionalCheckFailed"
_INVALID_REASON = "ValidationError"
_INVALID_ERROR = "ValidationException"
CONFLICT: Final = "TransactionConflict"
"""Another transaction is in progress on the same item."""
TRANSIENT_REASONS = frozenset({CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Transient cancellation reasons (DynamoDB API reference, TransactWriteItems)."""
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
    """Conditions failed. `failed`: current items by position of the failed write."""

    def __init__(self, failed: Mapping[int, Mapping[str, Any]]) -> None:
        super().__init__(f"conditions failed for writes {sorted(failed)}")
        self.failed = failed


class InvalidRequest(Exception):
    """The request is invalid and a retry cannot succeed: a key is too long, an item too large.

    (Developer Guide, "Constraints"; API reference, CancellationReason and Common Errors.)
    """


def transient_reason(canceled: ClientError, decisive: Collection[int] = ()) -> str:
    """The transient reason of a canceled transaction.

    A response may mix reasons: the condition of one item failed while another item was in conflict
    or throttled, so its condition was not evaluated (API reference, CancellationReason). The result
    is then still open, unless one of the `decisive` writes failed.

    Raises TransactionRefused if a condition failed, InvalidRequest if a write is invalid, and the
    error itself for any other reason.
    """
    response: Any = canceled.response
    listed = response.get("CancellationReasons", [])
    failed = {
        position: reason.get("Item", {})
        for position, reason in enumerate(listed)
        if reason.get("Code") == _CONDITION_FAILED
    }
    codes = {reason.get("Code") for reason in listed} - {"None", None, _CONDITION_FAILED}
    transient = codes & TRANSIENT_REASONS
    if failed and (not transient or not failed.keys().isdisjoint(decisive)):
        raise TransactionRefused(failed) from canceled
    if transient and (failed or codes <= TRANSIENT_REASONS):
        return ", ".join(sorted(transient))
    if _INVALID_REASON in codes:
        messages = (each.get("Message") for each in listed if each.get("Code") == _INVALID_REASON)
        raise InvalidRequest("; ".join(filter(None, messages))) from canceled
    raise canceled


def transient_code(error: ClientError) -> str:
    """The code of a transient error; raises any other, an invalid request as InvalidRequest."""
    said = error.response.get("Error", {})
    code = said.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A 5xx response with an unreadable body has no DynamoDB code.
    if code in TRANSIENT_ERRORS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return code
    if code == _INVALID_ERROR:
        raise InvalidRequest(said.get("Message", "")) from error
    raise error


def is_from_aws(error: Exception) -> bool:
    """Whether AWS or the network caused the error; an InvalidRequest is the platform's own bug."""
    return isinstance(error, BotoCoreError | ClientError)
