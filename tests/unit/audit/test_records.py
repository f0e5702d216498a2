"""The `record` of a listed audit row: any program can recompute the hash from it."""

from __future__ import annotations

import hashlib
from typing import Any

from runtime.audit.api import ListedAuditRow
from runtime.audit.chain import GENESIS, hashed_text, sealed, version_key
from runtime.audit.models import AuditRow, EntityType
from tests.support.audit.javascript import first_bad

BEYOND_DOUBLES = 2**53 + 1
TEXT = {"description": "Zoë \u2028 “order” \\ 10 €", "note": "𝄞"}


def chain(length: int = 3) -> list[AuditRow]:
    """Rows that differ in which attributes they have, with values that JavaScript could change."""
    rows: list[AuditRow] = []
    for version in range(1, length + 1):
        row = AuditRow(
            entity_id="acc_a",
            sequence=version_key(version),
            action_bucket="balance_credited#001",
            user_bucket="user#001" if version == 1 else None,
            merchant_bucket="mer_a#000" if version == 1 else None,
            listed_request="req_a" if version == 1 else None,
            timestamp="2026-03-14T09:00:00.000Z",
            entity_type=EntityType.ACCOUNT,
            version=version,
            action="balance_credited",
            user_id="user",
            merchant_id="mer_a",
            old_values={"balance": None},
            new_values={"balance": BEYOND_DOUBLES + version, "metadata": TEXT},
            changes=("balance",),
            prev_hash=rows[-1].hash if rows else GENESIS,
        )
        rows.append(sealed(row))
    return rows


def shown(rows: list[AuditRow]) -> list[Any]:
    """The rows as the API answers with include=record."""
    return [
        {**ListedAuditRow.of(row).model_dump(mode="json"), "record": hashed_text(row).decode()}
        for row in rows
    ]


def test_the_record_is_the_text_that_is_hashed() -> None:
    for row in chain():
        assert hashlib.sha256(hashed_text(row)).hexdigest() == row.hash


def test_javascript_recomputes_the_hashes_of_whole_numbers_and_texts_of_any_kind() -> None:
    rows = shown(chain())
    assert str(BEYOND_DOUBLES + 1) in rows[0]["record"]
    assert first_bad(rows) is None


def test_javascript_finds_an_edited_a_removed_and_a_swapped_row() -> None:
    rows = shown(chain())
    edited = rows[1]["record"].replace('"mer_a"', '"mer_b"')
    changed = [rows[0], {**rows[1], "record": edited}, rows[2]]
    second, third = version_key(2), version_key(3)
    assert first_bad(changed) == {
        "sequence": second,
        "reason": "the row does not match its hash",
    }
    assert first_bad([rows[0], rows[2]]) == {
        "sequence": third,
        "reason": "the row before it was changed or removed",
    }
    other = {**rows[1], "entity_id": "acc_b"}
    assert first_bad([rows[0], other])["reason"] == "the record is of another row"


def test_rows_without_a_record_do_not_show_one() -> None:
    assert "record" not in ListedAuditRow.of(chain(1)[0]).model_dump(mode="json")
