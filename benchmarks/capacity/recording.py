"""The platform's own calls of DynamoDB, recorded while it serves requests in virtual time.

The functions run as they are deployed, in the simulated world without faults. Each call is noted
with the function that made it, the items before and after it, and the keys that it read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from botocore.exceptions import ClientError

from runtime.core.outside import Outside
from runtime.dynamodb.capacity import Consistency, Item, TableLayout, item_size, read_units
from runtime.dynamodb.table_schema import TableSchema
from runtime.tables import ALL_TABLES
from simulation.dynamodb import InMemoryDynamoDB
from simulation.environments import Environment
from simulation.platform.http import HttpRequest, HttpResponse
from simulation.platform.plan import Plan
from simulation.platform.world import Platform

SETTLING_SECONDS: Final = 90.0
"""Virtual time after the last request in which everything derived from it is written."""
_SCHEMAS: Final = {schema.name: schema for schema in ALL_TABLES}
_EQUALS: Final = re.compile(r"(#?\w+) = (:\w+)")


class UnexpectedAnswer(Exception):
    """A request of the load was not answered as it should be; `status` is the answer's."""

    def __init__(self, request: HttpRequest, response: HttpResponse) -> None:
        super().__init__(f"{request.method} {request.path}: {response.text}")
        self.status = response.status


@dataclass(frozen=True, slots=True)
class Written:
    """One item of a write or check; the item twice if it was only checked."""

    table: str
    before: Item | None
    after: Item | None


@dataclass(frozen=True, slots=True)
class Read:
    """What was read under one partition key, in read units."""

    table: str
    index: str | None
    key: str
    units: float


@dataclass(frozen=True, slots=True)
class Call:
    """One successful call of DynamoDB. `function` is the Lambda function that made it."""

    function: str
    operation: str
    writes: tuple[Written, ...] = ()
    reads: tuple[Read, ...] = ()

    @property
    def is_transaction(self) -> bool:
        """Whether the items were written together, at twice the price."""
        return self.operation == "transact_write_items"


@dataclass
class Recording:
    """What a request led to: calls of DynamoDB, and the number of calls of each service."""

    calls: tuple[Call, ...]
    services: Counter[str]


class RecordedPlatform(Platform):
    """The simulated platform, whose functions' calls of DynamoDB are noted in `calls`."""

    def __init__(self, seed: str) -> None:
        self.calls: list[Call] = []
        super().__init__(seed, Plan(seed, clients=(), parts=frozenset()))
        for schedule in self.sources.schedules.values():
            schedule.stop()  # they do the same at any load, at times of their own

    def _outside_of(self, environment: Environment) -> Outside:
        outside = super()._outside_of(environment)
        function = environment.name.partition("#")[0]
        return replace(outside, aws=_RecordedAws(outside.aws, function, self))

    def record(self, action: Callable[[], object]) -> Recording:
        """Do `action`, and let everything that follows from it be done."""
        self.calls.clear()
        before = Counter(self.scheduler.calls)
        done: list[bool] = []

        def work() -> None:
            action()
            done.append(True)

        self.scheduler.spawn(work, "load")
        self.scheduler.run(until=lambda: bool(done))
        self.scheduler.run(max_time=self.scheduler.now + SETTLING_SECONDS)
        services = Counter(self.scheduler.calls)
        services.subtract(before)
        return Recording(tuple(self.calls), services)

    def ask(self, request: HttpRequest, status: int) -> dict[str, Any]:
        """The body of the answer. Raises UnexpectedAnswer if its status is another."""
        response = self.api(request)
        if response.status != status:
            raise UnexpectedAnswer(request, response)
        body: dict[str, Any] = response.body
        return body


class _RecordedAws:
    """AWS clients of one environment; the one of DynamoDB notes its calls."""

    def __init__(self, inner: Any, function: str, platform: RecordedPlatform) -> None:
        self._inner, self._function, self._platform = inner, function, platform
        self._client: _RecordedClient | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def dynamodb(self, *, lean: bool = False) -> Any:
        """The client that notes its calls."""
        if self._client is None:
            platform = self._platform
            self._client = _RecordedClient(
                self._inner.dynamodb(lean=lean), self._function, platform.database, platform.calls
            )
        return self._client


@dataclass
class _RecordedClient:
    """A DynamoDB client that notes what it is used for once a call has succeeded."""

    inner: Any
    function: str
    database: InMemoryDynamoDB
    calls: list[Call] = field(repr=False)

    @property
    def exceptions(self) -> Any:
        """As botocore's."""
        return self.inner.exceptions

    def transact_write_items(self, **request: Any) -> Any:
        """Noted with the items before and after."""
        bodies = [body for action in request["TransactItems"] for body in action.values()]
        return self._write("transact_write_items", request, bodies)

    def put_item(self, **request: Any) -> Any:
        """Noted with the item before and after; a refused condition costs the same."""
        return self._write("put_item", request, [request])

    def update_item(self, **request: Any) -> Any:
        """As `put_item`."""
        return self._write("update_item", request, [request])

    def delete_item(self, **request: Any) -> Any:
        """As `put_item`."""
        return self._write("delete_item", request, [request])

    def get_item(self, **request: Any) -> Any:
        """Noted with its key."""
        answer = self.inner.get_item(**request)
        reads = [self._item_read(request["TableName"], request["Key"], _consistency(request))]
        self._note("get_item", reads=reads)
        return answer

    def batch_get_item(self, **request: Any) -> Any:
        """Noted with its keys."""
        answer = self.inner.batch_get_item(**request)
        reads = [
            self._item_read(table, key, _consistency(wanted))
            for table, wanted in request["RequestItems"].items()
            for key in wanted["Keys"]
        ]
        self._note("batch_get_item", reads=reads)
        return answer

    def transact_get_items(self, **request: Any) -> Any:
        """Noted with its keys."""
        answer = self.inner.transact_get_items(**request)
        gets = [action["Get"] for action in request["TransactItems"]]
        reads = [
            self._item_read(get["TableName"], get["Key"], Consistency.TRANSACTIONAL) for get in gets
        ]
        self._note("transact_get_items", reads=reads)
        return answer

    def query(self, **request: Any) -> Any:
        """Noted with its partition key."""
        answer = self.inner.query(**request, ReturnConsumedCapacity="TOTAL")
        units = answer["ConsumedCapacity"]["CapacityUnits"]
        table, index = request["TableName"], request.get("IndexName")
        partition = _partition_queried(request)
        if self.function == "query":
            units = max(units, self._full_page(request, partition))
        self._note("query", reads=[Read(table, index, partition, units)])
        return answer

    def _full_page(self, request: Mapping[str, Any], partition: str) -> float:
        """Units of the query once there are as many rows as it may read."""
        table, index = request["TableName"], request.get("IndexName")
        rows: list[Item] = list(self.database.tables[table].items.values())
        if index is not None:
            entry_of = TableLayout.of(_SCHEMAS[table]).index(index).entry
            rows = [entry for entry in map(entry_of, rows) if entry is not None]
        sizes = [item_size(row) for row in rows]
        most: int = request["Limit"]
        return read_units(most * sum(sizes) // max(len(sizes), 1), _consistency(request))

    def scan(self, **request: Any) -> Any:
        """Not noted: no request scans."""
        return self.inner.scan(**request)

    def _write(self, operation: str, request: Any, bodies: Sequence[Mapping[str, Any]]) -> Any:
        places = [(body["TableName"], _key_of(body)) for body in bodies]
        before = [self._image(*place) for place in places]
        try:
            answer = getattr(self.inner, operation)(**request)
        except ClientError as error:
            if operation == "put_item" and "ConditionalCheckFailed" in str(error):
                self._note(operation, writes=_written(places, before, before))
            raise
        after = [self._image(*place) for place in places]
        self._note(operation, writes=_written(places, before, after))
        return answer

    def _note(
        self, operation: str, writes: Sequence[Written] = (), reads: Sequence[Read] = ()
    ) -> None:
        self.calls.append(Call(self.function, operation, tuple(writes), tuple(reads)))

    def _image(self, table: str, key: Mapping[str, Any]) -> Item | None:
        answer = self.database.get_item(TableName=table, Key=key, ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def _item_read(self, table: str, key: Mapping[str, Any], consistency: Consistency) -> Read:
        size = item_size(self._image(table, key) or {})
        partition = key[_SCHEMAS[table].key_names[0]]["S"]
        return Read(table, None, partition, read_units(size, consistency))


def schema_of(table: str) -> TableSchema:
    """The declared schema of a table. Raises KeyError."""
    return _SCHEMAS[table]


def partition_name(table: str, index: str | None) -> str:
    """Name of the partition key of a table, or of one of its indexes."""
    schema = _SCHEMAS[table]
    if index is None:
        return schema.key_names[0]
    return next(each.partition_key.name for each in schema.indexes if each.name == index)


def _key_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    if "Key" in body:
        key: Mapping[str, Any] = body["Key"]
        return key
    return {name: body["Item"][name] for name in _SCHEMAS[body["TableName"]].key_names}


def _written(
    places: Sequence[tuple[str, Any]],
    before: Sequence[Item | None],
    after: Sequence[Item | None],
) -> list[Written]:
    tables = [table for table, _ in places]
    return [Written(*each) for each in zip(tables, before, after, strict=True)]


def _consistency(request: Mapping[str, Any]) -> Consistency:
    return Consistency.STRONG if request.get("ConsistentRead") else Consistency.EVENTUAL


def _partition_queried(request: Mapping[str, Any]) -> str:
    """Value of the partition key in a query's condition."""
    wanted = partition_name(request["TableName"], request.get("IndexName"))
    names = request.get("ExpressionAttributeNames", {})
    for name, value in _EQUALS.findall(request["KeyConditionExpression"]):
        if names.get(name, name) == wanted:
            content: str = request["ExpressionAttributeValues"][value]["S"]
            return content
    raise AssertionError(f"a query names no partition: {request['KeyConditionExpression']}")
