"""The batch response for Lambda."""

from __future__ import annotations

import pytest

from runtime.streams.records import Kind, StreamRecord, batch_answer

RECORDS = [StreamRecord("payments", Kind.MODIFY, number, {}, {}) for number in ("7", "8", "9")]


def test_the_first_failed_record_is_reported_for_a_retry() -> None:
    assert batch_answer(RECORDS, frozenset({"9", "8"})) == {
        "batchItemFailures": [{"itemIdentifier": "8"}]
    }


def test_nothing_is_reported_if_everything_succeeded() -> None:
    assert batch_answer(RECORDS, frozenset()) == {"batchItemFailures": []}


def test_a_record_of_another_batch_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="not in the batch"):
        batch_answer(RECORDS, frozenset({"6"}))
