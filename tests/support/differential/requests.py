"""Random requests: most are well-formed, some have one error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from runtime.dynamodb.expressions import (
    Condition,
    Rendering,
    above,
    at_least,
    at_most,
    below,
    between,
    equals,
)
from tests.support.differential import wrong
from tests.support.differential.expressions import Expressions, rendering
from tests.support.differential.tables import INDEXED, INDEXES, PLAIN
from tests.support.differential.values import ATTRIBUTES, PARTITIONS, Values
from tests.support.differential.wrong import Body, Breaker

WRONG_RATE = 0.08
_REMEMBERED_TOKENS = 30


@dataclass(frozen=True)
class Request:
    """One call and its features."""

    operation: str
    body: Body
    forms: tuple[str, ...]


class Requests:
    """The same seed draws the same requests."""

    def __init__(self, seed: str) -> None:
        self.dice = Random(seed)
        self._values = Values(self.dice)
        self._expressions = Expressions(self.dice)
        self._tokens: list[Body] = []
        self._makers: dict[str, tuple[int, Callable[[], Body]]] = {
            "TransactWriteItems": (40, self._transaction),
            "PutItem": (8, lambda: self._plain_write("Put")),
            "UpdateItem": (10, lambda: self._plain_write("Update")),
            "DeleteItem": (4, lambda: self._plain_write("Delete")),
            "GetItem": (8, self._get),
            "BatchGetItem": (4, self._batch),
            "TransactGetItems": (4, self._settled),
            "Query": (14, self._query),
            "Scan": (4, self._scan),
            "BatchWriteItem": (1, self._batch_write),
        }

    def draw(self) -> Request:
        """The next request."""
        weights = [weight for weight, _ in self._makers.values()]
        (operation,) = self.dice.choices(list(self._makers), weights)
        self._expressions.forms = []
        body = self._makers[operation][1]()
        return Request(operation, body, tuple(self._expressions.forms))

    # ------------------------------------------------------------ writes

    def _action(self, kind: str | None = None, rate: float = WRONG_RATE) -> tuple[str, Body]:
        kinds = ("Put", "Update", "Delete", "ConditionCheck")
        kind = kind or self.dice.choices(kinds, (5, 5, 1, 1))[0]
        table, rendered = self._values.table(), rendering()
        body: Body = {"TableName": table}
        if kind == "Put":
            body["Item"] = self._values.item(table)
        else:
            body["Key"] = self._values.key(table)
        if kind == "Update":
            body["UpdateExpression"] = self._expressions.update(rendered)
        if kind == "ConditionCheck" or self.dice.random() < 0.4:
            body["ConditionExpression"] = self._expressions.condition()(rendered)
            if self.dice.random() < 0.9:
                body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        _fill(body, rendered)
        self._break(body, wrong.OF_WRITES, rate)
        return kind, body

    def _plain_write(self, kind: str) -> Body:
        _, body = self._action(kind)
        self._ask_for_capacity(body, body["TableName"] != INDEXED)
        return body

    def _transaction(self) -> Body:
        if self._tokens and self.dice.random() < 0.12:
            return self._again()
        size = self.dice.choices((1, 2, 3, 4, 6), (4, 4, 3, 2, 1))[0]
        actions = [self._action() for _ in range(size)]
        # Alone: whether AWS checks another action before it misses the table is not known.
        nowhere = [each for each in actions if each[1]["TableName"] == wrong.NO_TABLE]
        actions = nowhere or actions
        body: Body = {"TransactItems": [{kind: each} for kind, each in _each_once(actions)]}
        if self.dice.random() < 0.5:
            body["ClientRequestToken"] = f"tok-{self.dice.getrandbits(60)}"
            self._tokens = [*self._tokens[-_REMEMBERED_TOKENS:], deepcopy(body)]
        self._break(body, wrong.OF_TRANSACTIONS, rate=0.015)
        return body

    def _again(self) -> Body:
        body = deepcopy(self.dice.choice(self._tokens))
        self._expressions.forms.append("token again")
        if self.dice.random() < 0.3:
            self._expressions.forms.append("token with another request")
            kind, action = self._action()
            body["TransactItems"] = [{kind: action}]
        return body

    def _batch_write(self) -> Body:
        table = self._values.table()
        writes = [
            {"PutRequest": {"Item": self._values.item(table) | key}}
            if self.dice.random() < 0.6
            else {"DeleteRequest": {"Key": key}}
            for key in self._values.keys(table, 4)
        ]
        return {"RequestItems": {table: writes}}

    # ------------------------------------------------------------ reads by key

    def _get_of(self, table: str) -> Body:
        body: Body = {"TableName": table, "Key": self._values.key(table)}
        self._project(body)
        self._break(body, wrong.OF_GETS)
        return body

    def _get(self) -> Body:
        body = self._get_of(self._values.table())
        body["ConsistentRead"] = self.dice.random() < 0.7
        self._ask_for_capacity(body)
        return body

    def _batch(self) -> Body:
        table = self._values.table()
        keys = self._values.keys(table, 4)
        if self._happens(0.02, "wrong: key twice"):
            keys.append(dict(keys[0]))
        if self._happens(0.01, "wrong: 101 keys"):
            table, keys = PLAIN, [{"p": {"S": f"{n}"}} for n in range(101)]
        body: Body = {"TableName": table, "Keys": keys}
        body["ConsistentRead"] = self.dice.random() < 0.7
        self._project(body)
        self._break(body, wrong.OF_BATCHES)
        return {"RequestItems": {body.pop("TableName"): body}}

    def _settled(self) -> Body:
        table = self._values.table()
        gets = {repr(get["Key"]): get for get in (self._get_of(table) for _ in range(3))}
        actions = [{"Get": get} for get in gets.values()]
        if self._happens(0.02, "wrong: one item twice"):
            actions.append(deepcopy(actions[0]))
        return {"TransactItems": actions}

    # ------------------------------------------------------------ reads of many

    def _query(self) -> Body:
        dice, rendered = self.dice, rendering()
        table = self._values.table()
        body: Body = {"TableName": table, "ScanIndexForward": dice.random() < 0.5}
        if table == INDEXED and dice.random() < 0.6:
            body["IndexName"] = dice.choice(sorted(INDEXES))
            terms = self._index_terms(INDEXES[body["IndexName"]])
        else:
            terms = self._table_terms(table)
        body["KeyConditionExpression"] = " AND ".join(term(rendered) for term in terms)
        self._paged(body)
        _fill(body, rendered)
        self._break(body, wrong.OF_QUERIES)
        return body

    def _table_terms(self, table: str) -> list[Condition]:
        terms = [equals("p", {"S": self.dice.choice(PARTITIONS)})]
        if table == PLAIN or self.dice.random() < 0.4:
            return terms
        low, high = (self._values.key(table)["s"] for _ in range(2))
        return [*terms, self._range("s", low, high)]

    def _index_terms(self, keys: tuple[str, ...]) -> list[Condition]:
        terms = [equals(keys[0], self._values.of_attribute(keys[0]))]
        if len(keys) == 1 or self.dice.random() < 0.5:
            return terms
        low, high = (self._values.of_attribute(keys[1]) for _ in range(2))
        return [*terms, self._range(keys[1], low, high)]

    def _range(self, name: str, low: Any, high: Any) -> Condition:
        if self.dice.random() < 0.3:
            self._expressions.forms.append("key between")
            return between(name, low, high)
        comparison = self.dice.choice((below, at_most, at_least, above, equals))
        self._expressions.forms.append(f"key {comparison.__name__}")
        return comparison(name, low)

    def _scan(self) -> Body:
        rendered = rendering()
        body: Body = {"TableName": self._values.table(), "ConsistentRead": True}
        if self.dice.random() < 0.5:
            total = self.dice.randint(1, 4)
            body |= {"Segment": self.dice.randrange(total), "TotalSegments": total}
            self._expressions.forms.append("segment")
        if self._happens(0.25, "filter"):
            body["FilterExpression"] = self._expressions.filter()(rendered)
        self._paged(body)
        _fill(body, rendered)
        self._break(body, wrong.OF_SCANS)
        return body

    def _paged(self, body: Body) -> None:
        if self.dice.random() < 0.7:
            body["Limit"] = self.dice.choice((1, 2, 3, 100))
        self._ask_for_capacity(body)

    # ------------------------------------------------------------ common parts

    def _project(self, body: Body) -> None:
        if self._happens(0.5, "projection"):
            names = self.dice.sample((*ATTRIBUTES, "p"), 3)
            body["ProjectionExpression"] = ", ".join(f"#{name}" for name in names)
            body["ExpressionAttributeNames"] = {f"#{name}": name for name in names}

    def _ask_for_capacity(self, body: Body, may: bool = True) -> None:
        if may and self._happens(0.2, "capacity"):
            body["ReturnConsumedCapacity"] = self.dice.choice(("TOTAL", "INDEXES"))

    def _break(self, body: Body, breakers: dict[str, Breaker], rate: float = WRONG_RATE) -> None:
        if self.dice.random() < rate and not any(map(_is_wrong, self._expressions.forms)):
            what = self.dice.choice(sorted(breakers))
            breakers[what](body, self._values)
            self._expressions.forms.append(f"wrong: {what}")

    def _happens(self, chance: float, form: str) -> bool:
        happens = self.dice.random() < chance
        if happens:
            self._expressions.forms.append(form)
        return happens


def _is_wrong(form: str) -> bool:
    return form.startswith("wrong: ")


def _fill(body: Body, rendered: Rendering) -> None:
    if rendered.names:
        body["ExpressionAttributeNames"] = dict(rendered.names)
    if rendered.values:
        body["ExpressionAttributeValues"] = dict(rendered.values)


def _each_once(actions: Iterable[tuple[str, Body]]) -> list[tuple[str, Body]]:
    """Without those that share an item with another one."""
    by_place = {
        json.dumps([body["TableName"], *(_place(body).get(name) for name in ("p", "s"))]): (
            kind,
            body,
        )
        for kind, body in actions
    }
    return list(by_place.values())


def _place(body: Body) -> dict[str, Any]:
    found: dict[str, Any] = body["Item"] if "Item" in body else body["Key"]
    return found
