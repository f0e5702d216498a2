"""Fields that saved queries name are in log lines of real functions, or in the access log."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from runtime.core.observability import logger
from stacks.constructs.http_api import ACCESS_LOG_FIELDS
from stacks.log_queries import QUERIES, SavedQuery
from tests.integration.functions.test_functions import pay
from tests.support.http import Context, token_of
from tests.support.stages.running_stage import Stage

_WORDS: Final = frozenset(
    {
        *("fields", "filter", "stats", "sort", "limit", "by", "as", "and", "in", "like"),
        *("asc", "desc", "count", "sum", "max", "avg", "latest"),
    }
)
_NAME: Final = re.compile(r"(?<![\w.@])[a-z][\w.]*")


def named(query: SavedQuery) -> set[str]:
    """The fields of lines that a query names: not its own words, texts and columns."""
    text = re.sub(r'"[^"]*"', "", query.text)
    columns = set(re.findall(r"\bas (\w+)", text))
    return set(_NAME.findall(text)) - _WORDS - columns


def fields_of(line: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in line.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from fields_of(value, f"{prefix}{name}.")


class Lines(logging.Handler):
    """Collects lines as they are written to the log."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(json.loads(logger.registered_formatter.format(record)))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_the_fields_of_saved_queries_are_written(stage: Stage, lines: Lines) -> None:
    shop = stage.shop()
    assert pay(stage, shop).status == 201
    declined = pay(stage, shop, "tok_declined")
    assert declined.status == 402
    denied = stage.api("GET", "/v1/merchants", authorizer=token_of(shop["id"], "payments"))
    assert denied.status == 403
    order = {"id": "whk_unknown", "version": 1, "merchant_id": shop["id"], "request_id": "req_1"}
    message = {"messageId": uuid.uuid4().hex, "body": json.dumps(order)}
    stage.api.modules["deliver"].handler({"Records": [message]}, Context())

    by_message = {line["message"]: set(fields_of(line)) for line in lines.written}
    assert {"served", "refused", "declined", "webhook"} <= by_message.keys()
    everything = set[str]().union(*by_message.values(), ACCESS_LOG_FIELDS)
    for query in QUERIES:
        assert named(query), query.name
        assert named(query) <= everything, query.name
        of = re.search(r'message = "(\w+)"', query.text)
        if of is not None:
            assert named(query) <= by_message[of[1]], query.name
        if query.groups == ("access",):
            assert named(query) <= set(ACCESS_LOG_FIELDS)
    (reason,) = [line for line in lines.written if line["message"] == "declined"]
    assert reason["request_id"] == declined.headers["X-Request-Id"]
    assert reason["decline_code"] == declined.body["decline_code"]
