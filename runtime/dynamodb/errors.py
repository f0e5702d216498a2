"""What DynamoDB's refusals mean: a condition that failed, something that passes, or a fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

_CONDITION_FAILED = "ConditionalCheckFailed"
_INVALID_REASON = "ValidationError"
_INVALID_ERROR = "ValidationException"
CONFLICT: Final = "TransactionConflict"
"""Another transaction is at work on the same item."""
TRANSIENT_REASONS = frozenset({CONFLICT, "ThrottlingError", "ProvisionedThroughputExceeded"})
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


class InvalidRequest(Exception):
    """DynamoDB refuses a request as invalid, and always will: a key is too long, an item too large.

    (Developer Guide, "Constraints"; API reference, CancellationReason and Common Errors.)
    """


def transient_reason(canceled: ClientError, decisive: Collection[int] = ()) -> str:
    """The transient reason of a canceled transaction.

    One answer may mix reasons: the condition of one item failed while another item was in conflict
    or throttled, so that its own condition was not judged (API reference, CancellationReason). Then
    the verdict is not known yet, unless one of the `decisive` writes has failed.

    Raises TransactionRefused when a condition failed, InvalidRequest when a write is invalid, the
    error itself for every other reason.
    """
    response: Any = canceled.response
    listed = response.get("CancellationReasons", [])
    failed = {
        position: reason.get("Item", {})
        for position, reason in enumerate(listed)
        if reason.get("Code") == _CONDITION_FAILED
    }
    codes = {reason.get("Code") for reason in listed} - {"None", None, _CONDITION_FAILED}
    passing = codes & TRANSIENT_REASONS
    if failed and (not passing or not failed.keys().isdisjoint(decisive)):
        raise TransactionRefused(failed) from canceled
    if passing and (failed or codes <= TRANSIENT_REASONS):
        return ", ".join(sorted(passing))
    if _INVALID_REASON in codes:
        messages = (each.get("Message") for each in listed if each.get("Code") == _INVALID_REASON)
        raise InvalidRequest("; ".join(filter(None, messages))) from canceled
    raise canceled


def transient_code(error: ClientError) -> str:
    """The code of an error that passes; raises every other one, InvalidRequest among them."""
    said = error.response.get("Error", {})
    code = said.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # A 5xx whose body nobody could read has no code of DynamoDB's, and is no answer either.
    if code in TRANSIENT_ERRORS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return code
    if code == _INVALID_ERROR:
        raise InvalidRequest(said.get("Message", "")) from error
    raise error


def is_from_aws(error: Exception) -> bool:
    """Whether an AWS service, or the way to it, is the cause; what is invalid is our own fault."""
    return isinstance(error, BotoCoreError | ClientError)
