"""The in-memory engine answers like AWS's own engine, and where that is wrong, like AWS.

`make differential` sends any number of random requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.differential.comparison import Comparison
from tests.support.differential.engines import Answer
from tests.support.differential.known import CANCELED, INVALID
from tests.support.differential.run import compared
from tests.support.differential.tables import INDEXED, PLAIN
from tests.support.engines.engine import Engine

REQUESTS, PARTS = 10_000, 2
KILOBYTE = 1024
MAX_ITEM = 400 * KILOBYTE


@pytest.mark.deep  # `.ci/run` sends all requests
@pytest.mark.parametrize("part", range(PARTS))
def test_random_requests_have_the_same_answers(
    dynamodb_local_engine: Engine, seed: int, part: int
) -> None:
    report = compared(dynamodb_local_engine.endpoint_url or "", f"{seed}-{part}", REQUESTS // PARTS)
    print(report.reported())
    assert not report.differences, "\n".join(report.differences)
    assert report.requests == REQUESTS // PARTS
    assert len(report.forms) > 50
    assert min(report.operations.values()) > 10


@pytest.fixture
def both(dynamodb_local_engine: Engine) -> Iterator[Comparison]:
    comparison = Comparison(dynamodb_local_engine.endpoint_url or "")
    yield comparison
    comparison.close()


def ask(both: Comparison, operation: str, **body: Any) -> tuple[Answer, Answer]:
    """The responses of AWS's local engine and of the in-memory one."""
    return both.local.ask(operation, body), both.memory.ask(operation, body)


def must_agree(both: Comparison, operation: str, **body: Any) -> Answer:
    local, memory = ask(both, operation, **body)
    assert (local.code, local.document) == (memory.code, memory.document) or local.code
    assert local.code == memory.code, (local, memory)
    return memory


def filled(key: dict[str, Any], size: int) -> dict[str, Any]:
    """An item of exactly this many bytes."""
    used = sum(len(name) + len(value["S"]) for name, value in key.items()) + len("x")
    return key | {"x": {"S": "x" * (size - used)}}


def place(partition: str, sort: str) -> dict[str, Any]:
    return {"p": {"S": partition}, "s": {"S": sort}}


# ------------------------------------------------------------ limits, to the byte


@pytest.mark.parametrize(("over", "refused"), [(0, ""), (1, INVALID)])
def test_an_item_has_at_most_400_kb(both: Comparison, over: int, refused: str) -> None:
    key = {"p": {"S": "p"}}
    item = filled(key, MAX_ITEM + over)
    update = {
        "Key": key,
        "UpdateExpression": "SET x = :x",
        "ExpressionAttributeValues": {":x": item["x"]},
    }
    assert must_agree(both, "PutItem", TableName=PLAIN, Item=item).code == refused
    assert must_agree(both, "UpdateItem", TableName=PLAIN, **update).code == refused
    put = {"Put": {"TableName": PLAIN, "Item": item}}
    assert must_agree(both, "TransactWriteItems", TransactItems=[put]).code == refused
    changed = {"Update": {"TableName": PLAIN, **update}}
    assert must_agree(both, "TransactWriteItems", TransactItems=[changed]).code == (
        CANCELED if refused else ""
    )


@pytest.mark.parametrize(("items", "refused"), [(10, ""), (11, INVALID)])
def test_a_transaction_has_at_most_4_mb(both: Comparison, items: int, refused: str) -> None:
    rows = [filled(place("p", f"{n:03}"), 399_000) for n in range(items)]
    puts = [{"Put": {"TableName": INDEXED, "Item": row}} for row in rows]
    assert must_agree(both, "TransactWriteItems", TransactItems=puts).code == refused
    for row in rows:
        must_agree(both, "PutItem", TableName=INDEXED, Item=row)
    gets = [{"Get": {"TableName": INDEXED, "Key": place("p", row["s"]["S"])}} for row in rows]
    assert must_agree(both, "TransactGetItems", TransactItems=gets).code == refused


@pytest.mark.parametrize("size", [399_000, 60_000, KILOBYTE * 64])
def test_a_page_ends_with_the_item_that_reaches_a_megabyte(both: Comparison, size: int) -> None:
    for number in range(2 * KILOBYTE * KILOBYTE // size):
        item = filled(place("p", f"{number:03}"), size) | {"g": {"S": "g1"}}
        must_agree(both, "PutItem", TableName=INDEXED, Item=item)
    partition = {
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "p"}},
    }
    asked = {"TableName": INDEXED, "ReturnConsumedCapacity": "TOTAL", **partition}
    for read in ({}, {"ScanIndexForward": False}, {"Limit": 3}, {"ConsistentRead": True}):
        page = must_agree(both, "Query", **asked, **read)
        assert page.document["Count"] > 1
        assert "LastEvaluatedKey" in page.document
    must_agree(both, "Scan", TableName=INDEXED)


def test_a_batch_returns_what_fits_into_16_mb(both: Comparison) -> None:
    keys = [place("p", f"{number:03}") for number in range(45)]
    for key in keys:
        must_agree(both, "PutItem", TableName=INDEXED, Item=filled(key, MAX_ITEM - 1))
    wanted = {INDEXED: {"Keys": keys, "ConsistentRead": True}}
    local, memory = ask(both, "BatchGetItem", RequestItems=wanted)
    for answer in (local, memory):
        left = answer.document["UnprocessedKeys"][INDEXED]
        assert left["ConsistentRead"] is True
        assert len(left["Keys"]) + len(answer.document["Responses"][INDEXED]) == len(keys)
    assert len(local.document["UnprocessedKeys"][INDEXED]["Keys"]) == len(
        memory.document["UnprocessedKeys"][INDEXED]["Keys"]
    )


# ------------------------------------------------------------ which fault is answered

MISSING = "missing"
NOT_FOUND = "ResourceNotFoundException"
_ONE = {"Key": {"p": {"S": "p"}}}
FAULTY: dict[str, tuple[str, dict[str, Any]]] = {
    "an operand of the wrong type": (
        "Update",
        _ONE
        | {
            "UpdateExpression": "SET a = a + :v",
            "ExpressionAttributeValues": {":v": {"S": "1"}},
        },
    ),
    "a value that is not used": (
        "Update",
        _ONE
        | {
            "UpdateExpression": "REMOVE a",
            "ExpressionAttributeValues": {":v": {"S": "1"}},
        },
    ),
    "an item that is too large": ("Put", {"Item": filled({"p": {"S": "p"}}, MAX_ITEM + 1)}),
    "an empty condition": ("Delete", _ONE | {"ConditionExpression": ""}),
}
"""A kind of write, and one with a fault that needs no table to be found."""


@pytest.mark.parametrize("name", FAULTY)
def test_a_missing_table_is_answered_before_other_faults_except_in_transactions(
    both: Comparison, name: str
) -> None:
    kind, body = FAULTY[name]
    for table, alone in ((PLAIN, INVALID), (MISSING, NOT_FOUND)):
        write = {"TableName": table, **body}
        assert must_agree(both, f"{kind}Item", **write).code == alone
        together = {"TransactItems": [{kind: write}]}
        assert must_agree(both, "TransactWriteItems", **together).code == INVALID


def test_an_item_of_a_batch_is_judged_before_its_table_is_found(both: Comparison) -> None:
    _, body = FAULTY["an item that is too large"]
    for table in (PLAIN, MISSING):
        batch = {table: [{"PutRequest": body}]}
        assert must_agree(both, "BatchWriteItem", RequestItems=batch).code == INVALID


NAMES, VALUES = "ExpressionAttributeNames", "ExpressionAttributeValues"
EXISTS = {"ConditionExpression": "attribute_exists(p)"}
SHOWN = {"ProjectionExpression": "a"}


@pytest.mark.parametrize("part", [{NAMES: {}}, {NAMES: {"#a": "a"}}])
def test_names_without_an_expression_come_before_a_missing_table_only_in_plain_reads(
    both: Comparison, part: dict[str, Any]
) -> None:
    for table, otherwise in ((PLAIN, INVALID), (MISSING, NOT_FOUND)):
        one = {"TableName": table, **_ONE, **part}
        batch = {table: {"Keys": [_ONE["Key"]], **part}}
        assert must_agree(both, "GetItem", **one).code == INVALID
        assert must_agree(both, "BatchGetItem", RequestItems=batch).code == INVALID
        assert must_agree(both, "TransactGetItems", TransactItems=[{"Get": one}]).code == otherwise
        assert must_agree(both, "Scan", TableName=table, **part).code == otherwise
        assert must_agree(both, "DeleteItem", **one).code == otherwise
        write = [{"Delete": one}]
        assert must_agree(both, "TransactWriteItems", TransactItems=write).code == otherwise


@pytest.mark.parametrize("part", [{NAMES: {}}, {VALUES: {}}])
def test_empty_names_or_values_of_an_expression_come_before_a_missing_table_only_in_transactions(
    both: Comparison, part: dict[str, Any]
) -> None:
    assert not must_agree(both, "PutItem", TableName=PLAIN, Item=_ONE["Key"]).code
    for table, otherwise in ((PLAIN, INVALID), (MISSING, NOT_FOUND)):
        write = {"TableName": table, **_ONE, **EXISTS, **part}
        assert must_agree(both, "DeleteItem", **write).code == otherwise
        for kind in ("Delete", "ConditionCheck"):
            together = [{kind: write}]
            assert must_agree(both, "TransactWriteItems", TransactItems=together).code == INVALID
        scan = {"TableName": table, "FilterExpression": "attribute_exists(p)", **part}
        assert must_agree(both, "Scan", **scan).code == otherwise


def test_empty_names_of_a_projection_come_after_a_missing_table(both: Comparison) -> None:
    part = SHOWN | {NAMES: {}}
    for table, code in ((PLAIN, INVALID), (MISSING, NOT_FOUND)):
        get = {"TableName": table, **_ONE, **part}
        batch = {table: {"Keys": [_ONE["Key"]], **part}}
        assert must_agree(both, "GetItem", **get).code == code
        assert must_agree(both, "BatchGetItem", RequestItems=batch).code == code
        assert must_agree(both, "TransactGetItems", TransactItems=[{"Get": get}]).code == code


def test_a_batch_of_reads_finds_all_tables_before_it_reads_projections(both: Comparison) -> None:
    keys = {"Keys": [_ONE["Key"]]}
    for faulty, code in (
        (keys | SHOWN | {NAMES: {}}, NOT_FOUND),
        (keys | {"ProjectionExpression": "#undefined"}, NOT_FOUND),
        ({"Keys": [{"p": {"BOOL": True}}]}, NOT_FOUND),
        (keys | {NAMES: {"#a": "a"}}, INVALID),
        ({"Keys": [*keys["Keys"], *keys["Keys"]]}, INVALID),
        ({"Keys": [{"p": {"N": "x"}}]}, INVALID),
    ):
        for batch in ({PLAIN: faulty, MISSING: keys}, {MISSING: keys, PLAIN: faulty}):
            assert must_agree(both, "BatchGetItem", RequestItems=batch).code == code


def test_a_transaction_of_reads_is_judged_read_by_read(both: Comparison) -> None:
    missing = {"Get": {"TableName": MISSING, **_ONE}}
    for part in ({NAMES: {}}, {NAMES: {"#a": "a"}}, SHOWN | {NAMES: {}}):
        faulty = {"Get": {"TableName": PLAIN, **_ONE, **part}}
        for gets, code in (([faulty, missing], INVALID), ([missing, faulty], NOT_FOUND)):
            assert must_agree(both, "TransactGetItems", TransactItems=gets).code == code


def test_a_transaction_of_writes_reads_all_expressions_before_it_finds_tables(
    both: Comparison,
) -> None:
    missing = {"Delete": {"TableName": MISSING, **_ONE}}
    write = {"TableName": PLAIN, **_ONE}
    empty, alone = {"Delete": write | EXISTS | {NAMES: {}}}, {"Delete": write | {NAMES: {}}}
    for actions, code in (
        ([empty, missing], INVALID),
        ([missing, empty], INVALID),
        ([alone, missing], INVALID),
        ([missing, alone], NOT_FOUND),
        ([{"ConditionCheck": write}], INVALID),
        ([{"ConditionCheck": missing["Delete"]}], NOT_FOUND),
    ):
        assert must_agree(both, "TransactWriteItems", TransactItems=actions).code == code


# ------------------------------------------------------------ where the local engine is not AWS


def changed_index_key(value: dict[str, Any]) -> dict[str, Any]:
    return {
        "TableName": INDEXED,
        "Key": place("p", "s"),
        "UpdateExpression": "SET g = :v",
        "ExpressionAttributeValues": {":v": value},
    }


ABSENT_TERM = {
    "Update": {
        "TableName": PLAIN,
        "Key": {"p": {"S": "p"}},
        "UpdateExpression": "SET a = a + :v",
        "ExpressionAttributeValues": {":v": {"N": "1"}},
    }
}
WRONG_KEY = {"TableName": PLAIN, "Key": {"p": {"BOOL": True}}}
REMOVED = {"Delete": {"TableName": PLAIN, "Key": {"p": {"S": "p"}}}}
KEPT = {"ConditionCheck": {**REMOVED["Delete"], "ConditionExpression": "attribute_exists(p)"}}
DIFFERENCES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "an index's key gets another type": (
        "UpdateItem",
        changed_index_key({"N": "1"}),
        "",
        INVALID,
    ),
    "an index's key gets too long": (
        "UpdateItem",
        changed_index_key({"S": "x" * 2049}),
        "",
        INVALID,
    ),
    "a term is absent": (
        "TransactWriteItems",
        {"TransactItems": [ABSENT_TERM]},
        INVALID,
        CANCELED,
    ),
    "a key does not match": (
        "TransactWriteItems",
        {"TransactItems": [{"Delete": WRONG_KEY}]},
        INVALID,
        CANCELED,
    ),
    "a key that is read does not match": (
        "TransactGetItems",
        {"TransactItems": [{"Get": WRONG_KEY}]},
        INVALID,
        CANCELED,
    ),
    "one item twice": (
        "TransactWriteItems",
        {"TransactItems": [REMOVED, KEPT]},
        CANCELED,
        INVALID,
    ),
}
"""Operation, request, what the local engine says, and what AWS says (tests/support/differential/
known.py; an index's key: API reference, TransactWriteItems, "The update expression attempted to
update the secondary index key to unsupported type", "… beyond allowed size limits")."""


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_local_engine_still_has_its_known_differences_from_aws(
    both: Comparison, name: str
) -> None:
    """A difference that has gone must be compared like everything else."""
    operation, body, of_local, of_aws = DIFFERENCES[name]
    local, memory = ask(both, operation, **body)
    assert (local.code, memory.code) == (of_local, of_aws), (local, memory)
    if of_aws == CANCELED:
        codes = {reason["Code"] for reason in memory.document["CancellationReasons"]}
        assert codes == {"ValidationError"}
