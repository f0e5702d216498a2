"""Tables that are created when first used: most tests need a third of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.engines.engine import Engine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True)
class LazyTables:
    """`wanted` are CreateTable's arguments by table name; `maker` is a separate client."""

    maker: DynamoDBClient
    wanted: Mapping[str, Mapping[str, Any]]
    _made: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: DynamoDBClient) -> DynamoDBClient:
        """Every table that `client` uses is created first."""
        client.meta.events.register("provide-client-params.dynamodb", self._asked)
        return client

    def make_all(self) -> None:
        """Create every table now."""
        for name in self.wanted:
            self._make(name)

    def drop(self) -> None:
        """Delete the created tables."""
        for name in self._made:
            self.maker.delete_table(TableName=name)

    def _asked(self, params: Mapping[str, Any], **_: Any) -> None:
        for name in _named(params):
            if name in self.wanted and name not in self._made:
                self._make(name)

    def _make(self, name: str) -> None:
        with self._lock:
            if name not in self._made:
                self.maker.create_table(**self.wanted[name])
                self._made.add(name)


@dataclass(frozen=True)
class LazyEngine(Engine):
    """An engine whose clients find `tables`."""

    behind: Engine
    tables: LazyTables

    @staticmethod
    def on(engine: Engine, tables: LazyTables) -> LazyEngine:
        """`engine`, with `tables`."""
        return LazyEngine(engine.name, engine.endpoint_url, engine, tables)

    def client(self, service: str = "dynamodb") -> Any:
        """A client of the engine."""
        return self.behind.client(service)

    def dynamodb(self) -> DynamoDBClient:
        """A DynamoDB client."""
        return self.tables.attach(self.behind.dynamodb())


def _named(params: Mapping[str, Any]) -> Iterator[str]:
    if "TableName" in params:
        yield params["TableName"]
    yield from params.get("RequestItems", ())
    for action in params.get("TransactItems", ()):
        for body in action.values():
            yield body["TableName"]
