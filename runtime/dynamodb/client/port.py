"""The DynamoDB client as the store uses it: botocore's names, requests, answers and errors.

botocore's client, the lean client and the simulation's client all satisfy it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from botocore.exceptions import ClientError

Operation = Callable[..., Mapping[str, Any]]
"""One operation: keyword arguments are the members of its request in DynamoDB's typed JSON.

Raises ClientError for an error that DynamoDB answers, botocore's ConnectionError or HTTPClientError
if no usable answer arrives: the operation may then have been executed.
"""


class DynamoDbExceptions(Protocol):
    """The exceptions that the store tells apart by their type."""

    @property
    def ConditionalCheckFailedException(self) -> type[ClientError]:
        """A single write whose condition failed; `response["Item"]` is the current item."""
        ...

    @property
    def TransactionCanceledException(self) -> type[ClientError]:
        """A canceled transaction; `response["CancellationReasons"]` has one reason per write."""
        ...


class DynamoDbClient(Protocol):
    """The operations that the store uses."""

    @property
    def exceptions(self) -> DynamoDbExceptions: ...  # noqa: D102
    @property
    def batch_get_item(self) -> Operation: ...  # noqa: D102
    @property
    def get_item(self) -> Operation: ...  # noqa: D102
    @property
    def put_item(self) -> Operation: ...  # noqa: D102
    @property
    def query(self) -> Operation: ...  # noqa: D102
    @property
    def scan(self) -> Operation: ...  # noqa: D102
    @property
    def transact_get_items(self) -> Operation: ...  # noqa: D102
    @property
    def transact_write_items(self) -> Operation: ...  # noqa: D102
    @property
    def update_item(self) -> Operation: ...  # noqa: D102
