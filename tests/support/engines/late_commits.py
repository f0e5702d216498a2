"""A commit whose answer is given up, and which DynamoDB executes later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ReadTimeoutError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class LateCommit:
    """The first commit of `client` times out, and is executed right before its `number`-th one.

    `happens` names what is done before commits of other numbers, or before it is executed.
    """

    def __init__(
        self, client: DynamoDBClient, number: int, happens: Mapping[int, Callable[[], object]]
    ) -> None:
        self.client = client
        self.commits = 0
        self.outcome = ""
        """Of the first commit, once it was executed: `done` or `refused`."""
        self._number, self._happens = number, happens
        self._send: Callable[..., Any] = client.transact_write_items
        self._first: dict[str, Any] = {}
        client.transact_write_items = self._commit  # type: ignore[method-assign]

    def _commit(self, **request: Any) -> Any:
        self.commits += 1
        if self.commits == 1:
            self._first = request
            raise ReadTimeoutError(endpoint_url="http://engine")
        self._happens.get(self.commits, lambda: None)()
        if self.commits == self._number:
            self._arrive()
        return self._send(**request)

    def _arrive(self) -> None:
        try:
            self._send(**self._first)
        except self.client.exceptions.TransactionCanceledException:
            self.outcome = "refused"
        else:
            self.outcome = "done"
