"""A write with a lost answer is repeated unchanged: DynamoDB executes each token once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from runtime.core.errors import Unavailable
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.expressions import absent, put
from runtime.dynamodb.store import Store
from runtime.reporting.totals.models import TotalsMark
from tests.support.outside import OUTSIDE

LOST = ReadTimeoutError(endpoint_url="https://dynamodb.test")


class _Canceled(ClientError):
    pass


class _Client:
    """DynamoDB whose first answers are lost."""

    exceptions = SimpleNamespace(TransactionCanceledException=_Canceled)

    def __init__(self, lost: int) -> None:
        self.lost, self.requests = lost, list[dict[str, Any]]()

    def transact_write_items(self, **request: Any) -> None:
        self.requests.append(request)
        if len(self.requests) <= self.lost:
            raise LOST


def _store(client: _Client, remaining_seconds: float = 60.0) -> Store:
    waiting = replace(OUTSIDE, sleep=lambda _: None)
    tables = {"totals": "totals"}
    return Store(cast("Any", client), tables, Codec(NoCipher()), lambda: remaining_seconds, waiting)


WRITE = put(TotalsMark(id="mer_a", version=1)).when(absent("id"))


def test_every_attempt_is_the_same_request_under_the_same_token() -> None:
    client = _Client(lost=3)
    _store(client).transact([WRITE], token="opn_1")
    assert len(client.requests) == 4
    assert all(request == client.requests[0] for request in client.requests)
    assert client.requests[0]["ClientRequestToken"] == "opn_1"


def test_retries_end_in_time_to_report_it() -> None:
    client = _Client(lost=1)
    with pytest.raises(Unavailable, match="ReadTimeoutError"):
        _store(client, remaining_seconds=0.4).transact([WRITE], token="opn_1")
    assert len(client.requests) == 1
