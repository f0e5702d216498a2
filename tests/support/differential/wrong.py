"""Errors of requests: each takes a well-formed one and breaks one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.differential.tables import INDEXED, NUMBERED, PLAIN
from tests.support.differential.values import Values

Body = dict[str, Any]
Breaker = Callable[[Body, Values], None]

NO_TABLE = "never-created"
NOWHERE_RATE = 0.4
NAMES = "ExpressionAttributeNames"
VALUES = "ExpressionAttributeValues"
EXPRESSIONS = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
DEEP = 33
BIG = 410_000


def _unused_name(body: Body, _: Values) -> None:
    body.setdefault("ExpressionAttributeNames", {})["#unused"] = "u"


def _unused_value(body: Body, _: Values) -> None:
    body.setdefault("ExpressionAttributeValues", {})[":unused"] = {"S": "u"}


def _missing_value(body: Body, values: Values) -> None:
    given = body.get("ExpressionAttributeValues", {})
    if given:
        del given[values.dice.choice(sorted(given))]


def _missing_name(body: Body, values: Values) -> None:
    given = body.get("ExpressionAttributeNames", {})
    if given:
        del given[values.dice.choice(sorted(given))]


def _bad_value(body: Body, values: Values) -> None:
    bad = values.dice.choice(BAD_VALUES)
    given = body.get("ExpressionAttributeValues", {})
    if "Item" in body:
        body["Item"]["a"] = bad
    elif given:
        given[values.dice.choice(sorted(given))] = bad


def _empty_name(body: Body, _: Values) -> None:
    if "Item" in body:
        body["Item"][""] = {"S": "x"}


def _too_large(body: Body, _: Values) -> None:
    if "Item" in body:
        body["Item"]["a"] = {"S": "x" * BIG}


def _redundant_parentheses(body: Body, _: Values) -> None:
    if "ConditionExpression" in body:
        body["ConditionExpression"] = f"(({body['ConditionExpression']}))"


def _key_in(body: Body) -> Body:
    found: Body = body["Item"] if "Item" in body else body["Key"]
    return found


def _no_such_table(body: Body, _: Values) -> None:
    body["TableName"] = NO_TABLE


def _perhaps_nowhere(breaker: Breaker) -> Breaker:
    """An error that may come together with a missing table: one of the two is answered."""

    def both(body: Body, values: Values) -> None:
        breaker(body, values)
        if values.dice.random() < NOWHERE_RATE:
            _no_such_table(body, values)

    return both


def _empty(part: str) -> Breaker:
    """Names or values without members: they may be left out, but not empty."""

    def empty(body: Body, _: Values) -> None:
        body[part] = {}

    return empty


def _alone(part: str, given: Body) -> Breaker:
    """Names or values, also empty ones, without any expression that could use them."""

    def alone(body: Body, values: Values) -> None:
        for each in (NAMES, VALUES, *EXPRESSIONS):
            body.pop(each, None)
        body[part] = values.dice.choice(({}, given))

    return alone


def _no_key(body: Body, values: Values) -> None:
    del _key_in(body)[values.dice.choice(key_names(body))]


def _key_of_other_type(body: Body, values: Values) -> None:
    _key_in(body)[values.dice.choice(key_names(body))] = {"BOOL": True}


def _empty_key(body: Body, _: Values) -> None:
    _key_in(body)["p"] = {"S": ""}


def _long_key(body: Body, values: Values) -> None:
    _key_in(body)["p"] = {"S": "x" * values.dice.choice((2048, 2049))}


def _key_with_more(body: Body, _: Values) -> None:
    if "Key" in body:
        body["Key"]["a"] = {"S": "x"}


def _index_key_of_other_type(body: Body, values: Values) -> None:
    if "Item" in body and body["TableName"] == INDEXED:
        body["Item"][values.dice.choice("gh")] = values.of_kind("BOOL")


def _empty_index_key(body: Body, _: Values) -> None:
    if "Item" in body and body["TableName"] == INDEXED:
        body["Item"]["g"] = {"S": ""}


def _long_index_key(body: Body, values: Values) -> None:
    if "Item" in body and body["TableName"] == INDEXED:
        body["Item"]["g"] = {"S": "x" * values.dice.choice((2048, 2049))}


def _deep() -> Any:
    value: Any = {"S": "x"}
    for _ in range(DEEP):
        value = {"L": [value]}
    return value


BAD_VALUES: tuple[Any, ...] = (
    {"N": ""},
    {"N": "1_0"},
    {"N": "NaN"},
    {"N": "1" * 39},
    {"N": "1e126"},
    {"N": "1e-131"},
    {"NULL": False},
    {"SS": []},
    {"SS": ["x", "x"]},
    {"NS": ["1", "1.0"]},
    {"S": "x", "N": "1"},
    {},
    _deep(),
)

_OF_NAMES: dict[str, Breaker] = {
    "unused name": _perhaps_nowhere(_unused_name),
    "empty names": _perhaps_nowhere(_empty(NAMES)),
    "names alone": _perhaps_nowhere(_alone(NAMES, {"#a": "a"})),
}
_OF_VALUES: dict[str, Breaker] = {
    "unused value": _perhaps_nowhere(_unused_value),
    "empty values": _perhaps_nowhere(_empty(VALUES)),
    "values alone": _perhaps_nowhere(_alone(VALUES, {":a": {"S": "a"}})),
}

OF_WRITES: dict[str, Breaker] = {
    **_OF_NAMES,
    **_OF_VALUES,
    "missing value": _missing_value,
    "missing name": _missing_name,
    "bad value": _bad_value,
    "empty attribute name": _empty_name,
    "too large": _too_large,
    "redundant parentheses": _redundant_parentheses,
    "no such table": _no_such_table,
    "no key": _no_key,
    "key of another type": _key_of_other_type,
    "empty key": _empty_key,
    "long key": _long_key,
    "key with more": _key_with_more,
    "index key of another type": _index_key_of_other_type,
    "empty index key": _empty_index_key,
    "long index key": _long_index_key,
}
"""Errors of one write, alone or in a transaction."""


def _long_token(body: Body, _: Values) -> None:
    body["ClientRequestToken"] = "t" * 37


def _no_actions(body: Body, _: Values) -> None:
    body["TransactItems"] = []


def _too_many_actions(body: Body, _: Values) -> None:
    puts = ({"Put": {"TableName": PLAIN, "Item": {"p": {"S": f"{n}"}}}} for n in range(101))
    body["TransactItems"] = list(puts)


def _one_item_twice(body: Body, _: Values) -> None:
    delete = {"Delete": {"TableName": PLAIN, "Key": {"p": {"S": "p1"}}}}
    check = {"ConditionCheck": {**delete["Delete"], "ConditionExpression": "attribute_exists(p)"}}
    body["TransactItems"] = [delete, check]


OF_TRANSACTIONS: dict[str, Breaker] = {
    "token too long": _long_token,
    "no actions": _no_actions,
    "101 actions": _too_many_actions,
    "one item twice": _one_item_twice,
}

OF_GETS: dict[str, Breaker] = {
    **_OF_NAMES,
    "missing name": _missing_name,
    "no such table": _no_such_table,
    "no key": _no_key,
    "key of another type": _key_of_other_type,
    "empty key": _empty_key,
    "long key": _long_key,
    "key with more": _key_with_more,
}

OF_BATCHES: dict[str, Breaker] = {
    **_OF_NAMES,
    "missing name": _missing_name,
    "no such table": _no_such_table,
}
"""Errors of what a BatchGetItem asks of one table."""


def key_names(body: Body) -> tuple[str, ...]:
    """The key attributes of a request's table."""
    return ("p", "s") if body["TableName"] in (INDEXED, NUMBERED) else ("p",)


# -------------------------------------------------------------------- reads of many


def _no_limit(body: Body, _: Values) -> None:
    body["Limit"] = 0


def _no_such_index(body: Body, _: Values) -> None:
    body["IndexName"] = "never-created"


def _consistent_index(body: Body, _: Values) -> None:
    if "IndexName" in body:
        body["ConsistentRead"] = True


def _half_a_segment(body: Body, values: Values) -> None:
    body |= values.dice.choice(
        ({"Segment": 0}, {"TotalSegments": 2}, {"Segment": 2, "TotalSegments": 2})
    )


def _bound_of_other_type(body: Body, values: Values) -> None:
    given = body["ExpressionAttributeValues"]
    given[values.dice.choice(sorted(given))] = {"BOOL": True}


def _empty_bound(body: Body, values: Values) -> None:
    given = body["ExpressionAttributeValues"]
    given[values.dice.choice(sorted(given))] = {"S": ""}


def _no_partition(body: Body, _: Values) -> None:
    body["KeyConditionExpression"] = "#s = :v0"
    body["ExpressionAttributeNames"] = {"#s": "s"}
    body["ExpressionAttributeValues"] = {":v0": {"S": "a"}}
    body.pop("FilterExpression", None)


OF_QUERIES: dict[str, Breaker] = {
    **_OF_NAMES,
    **_OF_VALUES,
    "missing value": _missing_value,
    "missing name": _missing_name,
    "no such table": _no_such_table,
    "no limit": _no_limit,
    "no such index": _no_such_index,
    "consistent index": _consistent_index,
    "bound of another type": _bound_of_other_type,
    "empty bound": _empty_bound,
    "no partition": _no_partition,
}
OF_SCANS: dict[str, Breaker] = {
    **_OF_NAMES,
    **_OF_VALUES,
    "no such table": _no_such_table,
    "no limit": _no_limit,
    "half a segment": _half_a_segment,
}
