"""How DynamoDB refuses: the exceptions that a botocore client would raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

from botocore.exceptions import ClientError

Reason = dict[str, Any]
"""Why one action of a transaction was refused; `Code` is None's name where it was not."""

NOT_REFUSED: Final[Mapping[str, str]] = {"Code": "None"}


class Unsupported(Exception):
    """A form of request that this engine does not know: the runtime builds none like it."""


class ConditionalCheckFailedException(ClientError):
    """The condition of a plain write does not hold."""


class IdempotentParameterMismatchException(ClientError):
    """A token came again with another request."""


class ProvisionedThroughputExceededException(ClientError):
    """The table or index takes no more just now; this engine never raises it by itself."""


class ResourceInUseException(ClientError):
    """There is a table of that name already."""


class ResourceNotFoundException(ClientError):
    """The table does not exist."""


class TransactionCanceledException(ClientError):
    """At least one action of a transaction was refused: CancellationReasons say which."""


class TransactionConflictException(ClientError):
    """A transaction is at work on the item of a plain write."""


class TransactionInProgressException(ClientError):
    """The transaction of this token has not ended yet."""


class TrimmedDataAccessException(ClientError):
    """The records after that place of a stream are not kept any more."""


_KINDS: Final[tuple[type[ClientError], ...]] = (
    ConditionalCheckFailedException,
    IdempotentParameterMismatchException,
    ProvisionedThroughputExceededException,
    ResourceInUseException,
    ResourceNotFoundException,
    TransactionCanceledException,
    TransactionConflictException,
    TransactionInProgressException,
    TrimmedDataAccessException,
)
_BY_CODE: Final = {kind.__name__: kind for kind in _KINDS}

EXCEPTIONS: Final = SimpleNamespace(
    ClientError=ClientError,
    from_code=lambda code: _BY_CODE.get(code, ClientError),
    **_BY_CODE,
)
"""What a botocore client has as `.exceptions`."""


def refusal(code: str, message: str, *, status: int = 400, **more: Any) -> ClientError:
    """The exception of a code; `more` goes into its response beside the error itself."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "message": message,
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0, "HTTPHeaders": {}},
        **more,
    }
    return _BY_CODE.get(code, ClientError)(response, "")


def invalid(message: str) -> ClientError:
    """The request can never be carried out."""
    return refusal("ValidationException", message)


def canceled(reasons: Sequence[Mapping[str, Any]]) -> ClientError:
    """A transaction is refused: one reason for each of its actions, in their order."""
    codes = ", ".join(reason["Code"] for reason in reasons)
    return refusal(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        CancellationReasons=[dict(reason) for reason in reasons],
    )


def validation_error(message: str) -> Reason:
    """Why an action of a transaction cannot be done, whatever else happens."""
    return {"Code": "ValidationError", "Message": message}


def condition_failed(item: Mapping[str, Any] | None) -> ClientError:
    """The condition of a plain write does not hold; `item` is shown as it stands."""
    shown: dict[str, Any] = {} if item is None else {"Item": dict(item)}
    return refusal("ConditionalCheckFailedException", "The conditional request failed", **shown)


def conflict() -> ClientError:
    """A plain write meets a transaction."""
    return refusal("TransactionConflictException", CONFLICT["Message"])


CONFLICT: Final[Mapping[str, str]] = {
    "Code": "TransactionConflict",
    "Message": "Transaction is ongoing for the item",
}
