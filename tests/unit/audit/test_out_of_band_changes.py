"""Stream records of out-of-band changes."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.audit.projection.rows import AuditableChange, out_of_band_reason
from runtime.streams.records import Kind, StreamRecord


def image(version: int, **more: str) -> dict[str, Any]:
    texts = {
        "id": "pay_1",
        "merchant_id": "mer_a",
        "updated_at": f"2026-03-14T09:00:0{version}.000Z",
        "cause": f"out_{version}",
        "request_id": "req",
        **more,
    }
    return {"version": {"N": str(version)}, **{name: {"S": text} for name, text in texts.items()}}


def operational_alerts(old: dict[str, Any] | None, new: dict[str, Any] | None) -> str | None:
    return out_of_band_reason(
        AuditableChange.of(StreamRecord("payments", Kind.MODIFY, "1", old, new))
    )


def test_the_next_version_with_its_cause_is_not_out_of_band() -> None:
    assert operational_alerts(image(1), image(2)) is None
    assert operational_alerts(None, image(1)) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (image(1), image(3), "version 1 became 3"),
        (image(2), image(2, cause="out_9"), "version 2 became 2"),
        (image(3), image(2), "version 3 became 2"),
        (None, image(2), "it began at version 2"),
        (image(1), None, "the row was deleted"),
        (image(1), image(2, merchant_id="mer_b"), "its owner changed"),
        (image(1), image(2, updated_at="yesterday"), "its updated_at is not a time"),
    ],
)
def test_every_other_change_has_a_reason(
    old: dict[str, Any] | None, new: dict[str, Any] | None, said: str
) -> None:
    assert operational_alerts(old, new) == said
