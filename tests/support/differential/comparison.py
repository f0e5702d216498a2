"""Sends the same request to both engines, and reports every unknown difference."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from simulation.dynamodb import InMemoryDynamoDB, InMemoryStreams
from simulation.dynamodb.numbers import canonical_number
from tests.support.differential.engines import Answer, Engine, Local, Memory, travelling
from tests.support.differential.known import known_difference
from tests.support.differential.requests import Request
from tests.support.differential.tables import INDEXES, TABLES
from tests.support.engines import engine as engines

MOST_PAGES = 200
_SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Difference:
    """One request with two different answers."""

    number: int
    request: Request
    local: Any
    memory: Any

    def __str__(self) -> str:
        lines = (
            f"request {self.number}: {self.request.operation} {self.request.body}",
            f"  AWS's engine: {self.local}",
            f"  in memory:    {self.memory}",
        )
        return "\n".join(line[:_SHOWN_CHARACTERS] for line in lines)


@dataclass
class Comparison:
    """Two engines with the same tables; the requests, and the number of differences."""

    endpoint_url: str
    requests: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = InMemoryDynamoDB(now=lambda: float(self.requests))
        self.local, self.memory = Local(self.endpoint_url), Memory(self.database)
        for wanted in TABLES.values():
            for engine in (self.local, self.memory):
                answer = engine.ask("CreateTable", wanted)
                assert not answer.code, answer

    def close(self) -> None:
        """Delete the tables."""
        for name in TABLES:
            self.local.ask("DeleteTable", {"TableName": name})
        self.local.close()

    def compare(self, request: Request) -> None:
        """Send a request to both engines."""
        self.requests += 1
        self.operations[request.operation] += 1
        self.forms.update(request.forms)
        local = seen(self.local, request)
        memory = seen(self.memory, request)
        self.outcomes[f"{request.operation}: {_outcome(local)}"] += 1
        if local == memory:
            return
        name = known_difference(request, local, memory)
        if name is None:
            self.differences.append(Difference(self.requests, request, local, memory))
        else:
            self.known[name] += 1

    def compare_tables(self) -> list[str]:
        """Differences between the tables now, and between all stream records so far."""
        found = []
        for name in TABLES:
            whole = Request("Scan", {"TableName": name, "ConsistentRead": True}, ())
            if seen(self.local, whole) != seen(self.memory, whole):
                found.append(f"the items of {name} differ")
            local, memory = self._local_stream(name), self._memory_stream(name)
            found += [
                f"the records of {key} in {name} differ: {local.get(key)} {memory.get(key)}"
                for key in sorted({*local, *memory})
                if local.get(key) != memory.get(key)
            ]
        return found

    def _local_stream(self, table: str) -> dict[str, list[Any]]:
        engine = engines.Engine("dynamodb-local", self.endpoint_url)
        tables, streams = engine.client(), engine.client("dynamodbstreams")
        with closing(tables), closing(streams):
            return _records(tables, streams, table)

    def _memory_stream(self, table: str) -> dict[str, list[Any]]:
        client: Any = self.memory.client
        return _records(client, InMemoryStreams(self.database), table)


# -------------------------------------------------------------------- what is compared


def seen(engine: Engine, request: Request) -> Any:
    """The compared part of an answer: without messages and without an unspecified order."""
    if request.operation == "Query":
        return _query(engine, request)
    if request.operation == "Scan":
        return _scan(engine, request)
    answer = engine.ask(request.operation, request.body)
    if answer.code:
        return _refusal(answer)
    document = _asked_for(request, tidy(answer.document))
    if request.operation == "BatchGetItem":
        document["Responses"] = {n: _sorted(i) for n, i in document["Responses"].items() if i}
    return document


def _asked_for(request: Request, document: dict[str, Any]) -> dict[str, Any]:
    """Without the capacity that the local engine sometimes adds unrequested."""
    if "ReturnConsumedCapacity" not in request.body:
        document.pop("ConsumedCapacity", None)
    return document


def _refusal(answer: Answer) -> dict[str, Any]:
    reasons = [
        (reason["Code"], tidy(reason.get("Item")))
        for reason in answer.document.get("CancellationReasons", ())
    ]
    item = tidy(answer.document.get("Item"))
    return {"code": answer.code, "reasons": reasons, "item": item, "said": Said(answer)}


class Said:
    """An answer's message: shown, not compared."""

    def __init__(self, answer: Answer) -> None:
        self.message = answer.message
        reasons = answer.document.get("CancellationReasons", ())
        self.reasons = [reason.get("Message", "") for reason in reasons]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return repr([self.message, *filter(None, self.reasons)])


def _query(engine: Engine, request: Request) -> Any:
    pages = list(_pages(engine, request))
    if isinstance(pages[-1], dict) and "code" in pages[-1]:
        return pages
    if len(pages) > 1 and not pages[-1]["ScannedCount"]:
        # A page that reaches its limit has a LastEvaluatedKey, although nothing is behind it: "does
        # not necessarily mean that there is more" (API reference, Query).
        pages.pop()
        pages[-1].pop("LastEvaluatedKey", None)
    index = request.body.get("IndexName")
    if index is None:
        return pages
    return _ranked(pages, index, backward=not request.body["ScanIndexForward"])


def _ranked(pages: list[Any], index: str, *, backward: bool) -> Any:
    """Entries of an index with the same sort key have any order."""
    sort_key = (*INDEXES.get(index, ()), "")[1]
    items = [item for page in pages for item in page["Items"]]
    ranks = [float(item[sort_key]["N"]) if sort_key else 0.0 for item in items]
    assert ranks == sorted(ranks, reverse=backward), ranks
    counts = [page["ScannedCount"] for page in pages]
    return counts, sorted(zip(ranks, map(_text, items), strict=True))


def _scan(engine: Engine, request: Request) -> Any:
    """All segments together: the partitions of a segment are up to AWS."""
    if "TotalSegments" not in request.body or "Segment" not in request.body:
        return _scanned(engine, request)
    total = request.body["TotalSegments"]
    if not 0 <= request.body["Segment"] < total:
        return _scanned(engine, request)
    bodies = ({**request.body, "Segment": segment} for segment in range(total))
    segments = [_scanned(engine, Request("Scan", body, ())) for body in bodies]
    items = [item for segment in segments for item in segment]
    return items if any(isinstance(item, dict) for item in items) else sorted(items)


def _scanned(engine: Engine, request: Request) -> Any:
    pages = list(_pages(engine, request))
    if "code" in pages[-1]:
        return pages
    limit = request.body.get("Limit", 10**6)
    assert all(page["ScannedCount"] <= limit for page in pages), pages
    return sorted(_text(item) for page in pages for item in page["Items"])


def _pages(engine: Engine, request: Request) -> Iterator[dict[str, Any]]:
    body = dict(request.body)
    for _ in range(MOST_PAGES):
        answer = engine.ask(request.operation, body)
        if answer.code:
            yield _refusal(answer)
            return
        yield _asked_for(request, tidy(answer.document))
        if "LastEvaluatedKey" not in answer.document:
            return
        body["ExclusiveStartKey"] = answer.document["LastEvaluatedKey"]
    raise AssertionError(f"no end after {MOST_PAGES} pages: {request}")


def _outcome(local: Any) -> str:
    answer = local[-1] if isinstance(local, list) and local else local
    if not isinstance(answer, dict) or "code" not in answer:
        return "done"
    reasons = sorted({code for code, _ in answer["reasons"]} - {"None"})
    return " ".join((answer["code"], *reasons))


def _records(tables: Any, streams: Any, table: str) -> dict[str, list[Any]]:
    """The records of a table's stream, by item."""
    arn = tables.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    found: dict[str, list[Any]] = defaultdict(list)
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        place = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = streams.get_shard_iterator(StreamArn=arn, **place)["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=1000)
            for record in page["Records"]:
                change = record["dynamodb"]
                images = [tidy(travelling(change.get(n))) for n in ("OldImage", "NewImage")]
                key = _text(tidy(travelling(change["Keys"])))
                found[key].append((record["eventName"], *images))
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return dict(found)


# -------------------------------------------------------------------- normal forms


def tidy(value: Any) -> Any:
    """A value in normal form: numbers, and the order of a set."""
    if isinstance(value, list):
        return [tidy(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "N" and isinstance(content, str):
            return {"N": canonical_number(content)}
        if kind == "NS" and isinstance(content, list):
            return {"NS": sorted(map(canonical_number, content))}
        if kind in ("SS", "BS") and isinstance(content, list):
            return {kind: sorted(content)}
    return {name: tidy(each) for name, each in value.items()}


def _text(item: Any) -> str:
    return json.dumps(item, sort_keys=True)


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=_text)
