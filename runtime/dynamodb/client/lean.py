"""DynamoDB by the lean client: what the store calls, at a fifth of botocore's CPU (0075)."""

from __future__ import annotations

from typing import Any, Final

from runtime.aws.answers import DeclaredErrors
from runtime.aws.json_client import Access, Answer, JsonApi, JsonClient
from runtime.dynamodb.client.port import DynamoDbExceptions

ERRORS: Final = DeclaredErrors(
    {
        "ConditionalCheckFailedException": ("message", "Item"),
        "IdempotentParameterMismatchException": ("Message",),
        "InternalServerError": ("message",),
        "ItemCollectionSizeLimitExceededException": ("message",),
        "ProvisionedThroughputExceededException": ("message", "ThrottlingReasons"),
        "ReplicatedWriteConflictException": ("message",),
        "RequestLimitExceeded": ("message", "ThrottlingReasons"),
        "ResourceNotFoundException": ("message",),
        "ThrottlingException": ("message", "throttlingReasons"),
        "TransactionCanceledException": ("Message", "CancellationReasons"),
        "TransactionConflictException": ("message",),
        "TransactionInProgressException": ("Message",),
    }
)
DYNAMODB: Final = JsonApi("dynamodb", "DynamoDB_20120810", "application/x-amz-json-1.0", ERRORS)


class LeanClient:
    """DynamoDB's operations, as botocore's client has them. Threads may share it."""

    exceptions: DynamoDbExceptions = ERRORS.exceptions

    def __init__(self, access: Access) -> None:
        self._client = JsonClient(DYNAMODB, access)
        self._call = self._client.call

    def batch_get_item(self, **request: Any) -> Answer:
        """BatchGetItem."""
        return self._call("BatchGetItem", request)

    def delete_item(self, **request: Any) -> Answer:
        """DeleteItem."""
        return self._call("DeleteItem", request)

    def get_item(self, **request: Any) -> Answer:
        """GetItem."""
        return self._call("GetItem", request)

    def put_item(self, **request: Any) -> Answer:
        """PutItem."""
        return self._call("PutItem", request)

    def query(self, **request: Any) -> Answer:
        """Query."""
        return self._call("Query", request)

    def scan(self, **request: Any) -> Answer:
        """Scan."""
        return self._call("Scan", request)

    def transact_get_items(self, **request: Any) -> Answer:
        """TransactGetItems."""
        return self._call("TransactGetItems", request)

    def transact_write_items(self, **request: Any) -> Answer:
        """TransactWriteItems."""
        return self._call("TransactWriteItems", request)

    def update_item(self, **request: Any) -> Answer:
        """UpdateItem."""
        return self._call("UpdateItem", request)

    def close(self) -> None:
        """Close the idle connections."""
        self._client.close()
