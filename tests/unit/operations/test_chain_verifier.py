"""An entity compared with its chain: out-of-band rows arrive late, and are logged on arrival."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from operations.audit.chain_verifier import ChainView, unheard, view_chain
from operations.audit.verification_db import ChainEntry, IndexedEntity, IndexedRow
from runtime.audit.actions import OUT_OF_BAND_ACTION, REBUILT
from runtime.audit.chain import GENESIS, outside_key, version_key

ENTITY = "acc_a"
GONE = ""


def version(number: int, image: str, action: str = "account_changed") -> IndexedRow:
    return row(version_key(number), number, image, action, "09:00:00")


def outside(after: int, stream: int, image: str, at: str = "12:00:00") -> IndexedRow:
    return row(outside_key(after, str(stream)), after, image, OUT_OF_BAND_ACTION, at)


def late(behind: IndexedRow, stream: int, number: int, image: str, action: str) -> IndexedRow:
    """A row whose record arrived after one with a higher number, or a later version."""
    return row(f"{behind.sequence}#{stream:0>40}", number, image, action, "09:00:00")


def row(sequence: str, number: int, image: str, action: str, at: str) -> IndexedRow:
    time, told_by = f"2026-03-14T{at}.000Z", f"alr-{sequence}"
    return IndexedRow(
        ENTITY, sequence, number, "", f"hash-{sequence}", True, image, time, action, told_by
    )


def item(number: int, image: str) -> IndexedEntity:
    return IndexedEntity(ENTITY, number, image)


def looked(
    now: IndexedEntity | None, *rows: IndexedRow, before: IndexedEntity | None = None
) -> ChainView:
    """The verifier's view of rows that are archived and linked in the given order."""
    return view_chain(ENTITY, now, iter(linked(rows)), before)


def linked(rows: Sequence[IndexedRow]) -> list[ChainEntry]:
    hashes = [GENESIS, *(str(each.hash) for each in rows)]
    places = []
    for (previous, own), each in zip(pairwise(hashes), rows, strict=True):
        linked_row = IndexedRow(
            each.entity_id,
            each.sequence,
            each.version,
            previous,
            own,
            True,
            each.image_hash,
            each.timestamp,
            each.action,
            each.alert_id,
        )
        places.append(ChainEntry(each.sequence, linked_row, (own,)))
    return places


V1, V2, V4 = version(1, "one"), version(2, "two"), version(4, "four")
HAND, DELETED = outside(2, 8, "y"), outside(1, 8, GONE)
LATE_THIRD = [
    V1,
    V2,
    version(3, "edited", REBUILT),
    V4,
    late(V4, 7, 3, "three", "account_changed"),
]


@pytest.mark.parametrize(
    ("now", "rows"),
    [
        pytest.param(item(2, "two"), [V1, V2], id="as in the newest version"),
        pytest.param(
            item(2, "x"), [V1, V2, outside(2, 9, "x")], id="as after an out-of-band change"
        ),
        pytest.param(
            item(2, "two"), [V1, V2, outside(2, 9, "x", at="09:14:00")], id="a change logged late"
        ),
        pytest.param(
            item(2, "y"),
            [V1, V2, HAND, late(HAND, 7, 2, "x", OUT_OF_BAND_ACTION)],
            id="the later of two out-of-band changes logged first",
        ),
        pytest.param(None, [V1, outside(1, 9, GONE)], id="deleted out of band"),
        pytest.param(
            None,
            [V1, DELETED, late(DELETED, 7, 1, "x", OUT_OF_BAND_ACTION)],
            id="deleted out of band, after a change that was logged late",
        ),
        pytest.param(item(1, "one"), [V1, DELETED, outside(1, 9, "one")], id="restored"),
        pytest.param(item(4, "four"), LATE_THIRD, id="a version logged late"),
    ],
)
def test_an_entity_that_matches_its_chain_is_accepted(
    now: IndexedEntity | None, rows: list[IndexedRow]
) -> None:
    look = looked(now, *rows)
    assert (look.bad, look.untold, look.length) == (None, None, len(rows))


@pytest.mark.parametrize(
    ("now", "rows", "reason"),
    [
        pytest.param(item(1, "one"), [V1, V2], "it was restored", id="an older version"),
        pytest.param(item(2, "x"), [V1, V2], "no row records its values", id="another image"),
        pytest.param(
            item(2, "two"),
            [V1, V2, outside(2, 9, "x")],
            "it was restored",
            id="before an out-of-band change",
        ),
        pytest.param(
            item(2, "x"),
            [V1, V2, outside(2, 7, "x"), outside(2, 8, "y")],
            "it was restored",
            id="between two out-of-band changes",
        ),
        pytest.param(
            item(3, "three"), LATE_THIRD, "it was restored", id="a version that was logged late"
        ),
        pytest.param(
            item(2, "y"),
            [V1, V2, HAND, late(HAND, 8, 2, "x", OUT_OF_BAND_ACTION)],
            "it was restored",
            id="to an out-of-band change that was rebuilt from the next one",
        ),
        pytest.param(None, [V1, V2], "missing", id="deleted without a row"),
        pytest.param(
            None,
            [V1, outside(1, 8, GONE), outside(1, 9, "one")],
            "missing",
            id="restored, then deleted without a row",
        ),
        pytest.param(item(1, "one"), [], "no row records its creation", id="no row"),
    ],
)
def test_an_entity_that_differs_from_its_chain_is_suspect(
    now: IndexedEntity | None, rows: list[IndexedRow], reason: str
) -> None:
    look = looked(now, *rows)
    assert look.untold is not None
    assert reason in look.untold
    assert look.is_suspect


def test_a_busy_entity_is_accepted_once_a_row_records_its_earlier_values() -> None:
    before, now = item(2, "two"), item(3, "three")
    assert looked(now, V1, before=before).is_suspect
    assert not looked(now, V1, V2, before=before).is_suspect
    # It no longer changes: then the last row has to record it.
    assert looked(before, V1, V2, version(3, "three"), before=before).is_suspect
    # It is deleted: then a row has to record that.
    assert looked(None, V1, V2, before=before).is_suspect


def test_the_first_unalerted_out_of_band_row_is_reported_before_a_later_fault() -> None:
    heard, forged = outside(1, 7, "x"), outside(1, 8, "y")
    broken = version(5, "five")
    look = looked(item(5, "five"), V1, heard, forged, V2, broken)
    assert look.bad is not None
    assert look.bad.position == 5
    finding = unheard(look, ENTITY, {heard.alert_id})
    assert finding is not None
    assert (finding.position, finding.sequence) == (3, forged.sequence)
    assert unheard(look, ENTITY, {heard.alert_id, forged.alert_id}) is None


def test_a_version_logged_late_has_no_row_in_its_own_position() -> None:
    forged = late(V2, 7, 2, "x", "account_changed")
    look = looked(item(2, "x"), V1, V2, forged)
    assert look.bad is not None
    assert (look.bad.position, look.bad.sequence) == (3, forged.sequence)
    assert "a row of its own" in look.bad.reason
