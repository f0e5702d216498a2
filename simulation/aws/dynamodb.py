"""The DynamoDB client of a simulated environment: every call goes through the scheduler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn

from simulation.dynamodb.errors import EXCEPTIONS, Unsupported
from simulation.scheduler import Scheduler

_OPERATIONS: Final = (
    "batch_get_item",
    "delete_item",
    "get_item",
    "put_item",
    "query",
    "scan",
    "transact_get_items",
    "transact_write_items",
    "update_item",
)


class DynamoDBClient:
    """What `boto3.client("dynamodb")` is to the platform, which tries no call again by itself."""

    exceptions = EXCEPTIONS

    def __init__(self, scheduler: Scheduler, database: Any) -> None:
        self._scheduler, self._database = scheduler, database
        for operation in _OPERATIONS:
            setattr(self, operation, self._method(operation))
        self.batch_get_item = self._batch_get_item

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        missing = Unsupported(f"DynamoDB is not asked for {name}")
        self._scheduler.break_off(missing)
        raise missing

    def _method(self, operation: str) -> Callable[..., Any]:
        call, database = self._scheduler.call, self._database
        return lambda **arguments: call(operation, arguments, database, EXCEPTIONS)

    def _batch_get_item(self, **arguments: Any) -> Any:
        """It may leave keys unread: for size, for throughput, or for an error of a partition."""
        scheduler = self._scheduler
        chance, rng = scheduler.rates.unprocessed, scheduler.rng
        asked = arguments["RequestItems"]
        left: dict[str, Any] = {}
        if chance and scheduler.current is not None and rng.random() < chance:
            scheduler.injected["unprocessed"] += 1
            asked, left = _parted(asked, rng.random())
        answer = scheduler.call(
            "batch_get_item", {**arguments, "RequestItems": asked}, self._database, EXCEPTIONS
        )
        if not left:
            return answer
        assert not answer.get("UnprocessedKeys"), "keys were left for two reasons"
        return {**answer, "UnprocessedKeys": left}


def _parted(asked: dict[str, Any], share: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first keys of each table, at least one, and the others."""
    first: dict[str, Any] = {}
    left: dict[str, Any] = {}
    for table, request in asked.items():
        keys = request["Keys"]
        count = max(1, int(len(keys) * share))
        first[table] = {**request, "Keys": keys[:count]}
        if count < len(keys):
            left[table] = {**request, "Keys": keys[count:]}
    return first, left
