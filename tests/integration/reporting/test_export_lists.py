"""Exported settlement lines and audit rows match the lists, in any number of turns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.reconciliation.settlements.models import LineStatus, LineType
from tests.support.audit.rows import account, audit_projection, debited, reported
from tests.support.exporting import Exporting
from tests.support.platform import Platform
from tests.support.reconciliation.exceptions import line_of, put_lines, settlement_of


@pytest.fixture
def exporting(platform: Platform) -> Exporting:
    return Exporting(platform)


def in_turns(exporting: Exporting, export_id: str) -> list[dict[str, Any]]:
    """The rows of an export whose worker is replaced after every chunk."""
    for _ in range(100):
        turn = exporting.turn(export_id, remaining_seconds=lambda: 1.0)
        if turn.next_in_seconds is None:
            content = exporting.file(exporting.row(export_id))
            return [json.loads(line) for line in content.splitlines()]
    raise AssertionError("the export does not end")


def test_lines_are_ordered_by_settlement_newest_first_and_then_by_file_order(
    platform: Platform, exporting: Exporting
) -> None:
    shop, other = platform.merchant(), platform.merchant()
    for name, day in (("old", "2026-01-01"), ("new", "2026-01-02")):
        settlement = settlement_of(shop, name, day)
        lines = [
            *(line_of(shop, settlement, n, LineStatus.MATCHED) for n in range(2, 105)),
            line_of(shop, settlement, 1_500, LineStatus.FEE_MISMATCH, type=LineType.REFUND),
        ]
        put_lines(platform, settlement, *lines)
    stranger = settlement_of(other, "other", "2026-01-03")
    put_lines(platform, stranger, line_of(other, stranger, 2, LineStatus.MATCHED))

    def places(rows: list[dict[str, Any]]) -> list[tuple[str, int]]:
        return [(row["settlement_id"], row["line"]) for row in rows]

    numbers = [*range(2, 105), 1_500]
    everything = [(f"set_{name}", n) for name in ("new", "old") for n in numbers]
    kind = {"kind": "settlement_lines"}
    assert places(exporting.made(shop, **kind)) == everything
    export_id = exporting.ask(shop, format="jsonl", **kind)
    assert places(in_turns(exporting, export_id)) == everything
    assert places(exporting.made(shop, settlement_id="set_old", **kind)) == everything[104:]
    export_id = exporting.ask(shop, format="jsonl", settlement_id="set_old", **kind)
    assert places(in_turns(exporting, export_id)) == everything[104:]
    wrong = [("set_new", 1_500), ("set_old", 1_500)]
    assert places(exporting.made(shop, status="fee_mismatch", **kind)) == wrong
    assert places(exporting.made(shop, type="refund", **kind)) == wrong
    # The clock of the tests is set to 2026-03-14: the older settlement is 72 days old.
    assert places(exporting.made(shop, min_age_days=71, **kind)) == wrong
    assert places(exporting.made(shop, min_age_days=72, **kind)) == wrong[1:]
    aged = {"min_age_days": 72, "settlement_id": "set_new"}
    assert places(exporting.made(shop, **aged, **kind)) == []
    assert places(exporting.made(shop, min_age_days=73, start_date="2026-01-02", **kind)) == []
    day = {"start_date": "2026-01-01", "end_date": "2026-01-01"}
    assert places(exporting.made(shop, **day, **kind)) == everything[104:]


def test_audit_rows_are_exported_newest_first_with_and_without_a_filter(
    platform: Platform, exporting: Exporting
) -> None:
    shop, other = platform.merchant(), platform.merchant()
    project = audit_projection(platform)
    entities = []
    for owner in (shop, other, shop):
        row = account(platform, merchant_id=owner.id)
        entities.append(row.id)
        records = [reported(platform, None, row)]
        for amount in (1, 2):
            after = debited(platform, row, amount)
            records.append(reported(platform, row, after))
            row = after
        assert not project(records)
    kind = {"kind": "audit"}
    rows = exporting.made(shop, **kind)
    assert len(rows) == 6
    assert {row["entity_id"] for row in rows} == {entities[0], entities[2]}
    assert [row["timestamp"] for row in rows] == sorted(
        (row["timestamp"] for row in rows), reverse=True
    )
    assert in_turns(exporting, exporting.ask(shop, format="jsonl", **kind)) == rows
    of_one = exporting.made(shop, entity_id=entities[0], **kind)
    assert [row["version"] for row in of_one] == [3, 2, 1]
    assert len(exporting.made(shop, action="balance_debited", **kind)) == 4
    assert exporting.made(shop, user_id="unknown", **kind) == []
    theirs = exporting.ask(shop, entity_id=entities[1], **kind)
    exporting.turn(theirs)
    assert exporting.row(theirs).failure_reason == f"No such entity: {entities[1]}"
    anybodys = exporting.done(exporting.ask(None, entity_id=entities[1], format="jsonl", **kind))
    assert anybodys.rows == 3, "an operator reads any entity"
