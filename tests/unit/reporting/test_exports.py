"""Exports without an engine: they have the filters of the lists, and each new job is queued."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runtime.core.errors import Unavailable
from runtime.core.fields import PLATFORM
from runtime.reporting.exports.api import FILTERS, ROWS, ExportRequest, filter_names
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.models import Export, ExportFormat, ExportKind
from runtime.reporting.exports.orders import ExportOrders
from runtime.reporting.exports.queries import export_answer
from runtime.reporting.exports.queue import ExportOrder, ExportQueue
from runtime.reporting.exports.sources.chunks import LOOKED_AT_ONCE, ROWS_AT_ONCE, selections
from runtime.reporting.exports.sources.registry import whose
from runtime.streams.records import Change, Kind
from tests.support.exporting import FakeUploads
from tests.support.fakes import client_error

AT = "2026-03-14T09:00:00.000Z"


def export(**changes: Any) -> Export:
    values: dict[str, Any] = {
        "id": "exp_1",
        "merchant_id": "mer_1",
        "kind": "payments",
        "format": "csv",
        "until": AT,
        "expires_at": 1_800_000_000,
        "created_at": AT,
        "updated_at": AT,
        "changed_by": "user",
        "request_id": "req",
        "cause": "req",
    }
    return Export.model_validate(values | changes)


@pytest.mark.parametrize("kind", ExportKind)
def test_every_filter_of_a_kind_can_be_requested(kind: ExportKind) -> None:
    missing = set(filter_names(kind)) - set(ExportRequest.model_fields)
    assert not missing, f"ExportRequest lacks {missing} of {FILTERS[kind].__name__}"
    assert kind in ROWS


def test_no_unknown_filter_can_be_requested() -> None:
    known = {name for kind in ExportKind for name in filter_names(kind)}
    others = {"kind", "format", "merchant_id", "idempotency_key"}
    assert set(ExportRequest.model_fields) - others == known


def test_a_link_is_returned_once_the_file_exists() -> None:
    for status in ("queued", "running", "failed"):
        assert export_answer(export(status=status), lambda _: "https://link").result_url is None
    answer = export_answer(export(status="completed", rows_done=7), lambda _: "https://link")
    assert (answer.result_url, answer.progress) == ("https://link", 7)
    assert answer.expires_at == "2027-01-15T08:00:00.000Z"
    inner = {"lease_owner", "parts", "upload_id", "object_key", "position", "tries", "changed_by"}
    assert not inner & set(answer.model_dump())


def test_a_merchants_exports_are_limited_to_its_own_rows() -> None:
    assert whose(export(merchant_id=PLATFORM)).scope.owner is None
    assert whose(export()).scope.owner == "mer_1"


# ------------------------------------------------------------ chunks


def test_as_many_rows_are_taken_together_as_one_call_reads() -> None:
    taken = list(selections(range(2 * ROWS_AT_ONCE + 1), position=str))
    assert [len(each.entries) for each in taken] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    assert [each.position for each in taken] == ["99", "199", "200"]


def test_a_search_without_results_can_be_interrupted() -> None:
    entries = range(2 * LOOKED_AT_ONCE + 1)
    taken = list(selections(entries, position=str, matches=lambda _: False))
    assert [each.entries for each in taken] == [(), (), ()]
    assert taken[0].position == str(LOOKED_AT_ONCE - 1)
    assert list(selections([], position=str)) == []


# ------------------------------------------------------------ the queue


class _Queue:
    def __init__(self, refused: frozenset[str] = frozenset()) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refused = refused

    def send_message(self, **message: Any) -> dict[str, Any]:
        if json.loads(message["MessageBody"])["id"] in self.refused:
            raise client_error("ServiceUnavailable", "SendMessage", 503)
        self.sent.append(message)
        return {}


def test_each_new_job_is_queued_and_one_that_sqs_refuses_is_retried() -> None:
    queue = _Queue(frozenset({"exp_2"}))
    orders = ExportOrders(ExportQueue(queue, "queue"))  # type: ignore[arg-type]
    changes = [
        Change(Kind.INSERT, "1", None, export()),
        Change(Kind.INSERT, "2", None, export(id="exp_2")),
        Change(Kind.MODIFY, "3", export(id="exp_3"), export(id="exp_3", status="running")),
        Change(Kind.REMOVE, "4", export(id="exp_4"), None),
    ]
    assert orders(changes) == {"2"}
    (message,) = queue.sent
    assert json.loads(message["MessageBody"]) == {"id": "exp_1", "merchant_id": "mer_1"}
    assert message["MessageGroupId"] == "mer_1", "merchants are served in turns"


def test_a_turn_that_cannot_be_queued_is_reported() -> None:
    queue = ExportQueue(_Queue(frozenset({"exp_1"})), "queue")  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="exp_1"):
        queue.send(ExportOrder(id="exp_1", merchant_id="mer_1"), 5)


# ------------------------------------------------------------ objects


def test_completing_an_upload_twice_changes_nothing() -> None:
    s3 = FakeUploads()
    files = ExportFiles(s3, "bucket")  # type: ignore[arg-type]
    upload = files.begin("key", ExportFormat.CSV)
    parts = [files.upload("key", upload, number, b"x" * number) for number in (1, 3)]
    files.complete("key", upload, parts)
    files.complete("key", upload, parts)
    assert s3.objects["key"] == b"xxxx", "numbers of parts may have gaps"
    assert files.size("key") == 4


def test_a_part_that_differs_from_the_listed_one_fails() -> None:
    s3 = FakeUploads()
    files = ExportFiles(s3, "bucket")  # type: ignore[arg-type]
    upload = files.begin("key", ExportFormat.CSV)
    part = files.upload("key", upload, 1, b"one")
    files.upload("key", upload, 1, b"another")
    with pytest.raises(ClientError, match="InvalidPart"):
        files.complete("key", upload, [part])


def test_an_empty_file_is_put_once() -> None:
    s3 = FakeUploads()
    files = ExportFiles(s3, "bucket")  # type: ignore[arg-type]
    files.put_empty("key", ExportFormat.JSONL)
    files.put_empty("key", ExportFormat.JSONL)
    assert s3.objects == {"key": b""}
