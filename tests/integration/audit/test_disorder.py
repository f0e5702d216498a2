"""The audit log with late, lost and repeated records and concurrent out-of-band edits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from runtime.audit.chain import version_key
from runtime.audit.models import AuditRow
from runtime.audit.projection.projection import AuditProjection
from runtime.dynamodb.expressions import put
from runtime.ledger.transfers.models import Transfer
from runtime.streams.images import image_hash
from runtime.streams.records import StreamRecord
from tests.support.audit.rows import (
    account,
    audit_projection,
    chain_of,
    debited,
    history,
    image_of,
    must_tell,
    next_version,
    outside_alerts,
    records_of,
    reported,
    versions_of,
)
from tests.support.fakes import ParkingLot
from tests.support.platform import Platform

DONE: frozenset[str] = frozenset()


def by_hand(row: Any, **changes: Any) -> Any:
    """The row after an out-of-band write."""
    return row.model_copy(update=changes)


def actions_of(rows: Sequence[AuditRow]) -> list[str]:
    return [row.action for row in rows]


def images_told(rows: Sequence[AuditRow], *, outside: bool) -> set[str]:
    return {row.image_hash for row in rows if (row.action == "out_of_band") is outside}


# ------------------------------------------------------------ late


def test_out_of_band_edits_are_all_logged_in_one_chain_in_any_order_of_arrival(
    platform: Platform,
) -> None:
    for order in itertools.permutations(range(1, 4)):
        first = account(platform)
        states = [first]
        for number in range(1, 4):
            states.append(by_hand(states[-1], credit_limit=number))
        states.append(next_version(states[-1], held_in=1))
        records = records_of(platform, states)
        project = audit_projection(platform)
        assert project(records[:1]) == DONE
        for number in order:
            assert project([records[number]]) == DONE
        assert project(records[4:]) == DONE
        before = chain_of(platform, first.id)
        assert project([*records, *reversed(records)]) == DONE
        rows = chain_of(platform, first.id)
        assert rows == before, "records that were logged are not logged again"
        images = [image_hash(image_of(platform, state)) for state in states]
        assert set(images[1:4]) <= images_told(rows, outside=True)
        assert {images[0], images[4]} == images_told(rows, outside=False)


def test_a_version_whose_record_is_late_is_rebuilt_before_the_edit_that_came_after_it(
    platform: Platform,
) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    edited = by_hand(states[2], credit_limit=5)
    fourth = next_version(edited, held_in=3)
    project = audit_projection(platform)
    assert project(records[:2]) == DONE
    assert (
        project([reported(platform, states[2], edited), reported(platform, edited, fourth)]) == DONE
    )
    rows = must_tell(platform, [*states, fourth])
    assert actions_of(rows)[2:4] == ["rebuilt", "out_of_band"]
    assert project([records[2]]) == DONE
    assert chain_of(platform, edited.id) == rows
    assert len(outside_alerts(platform)) == 1


def test_a_version_whose_record_is_late_is_rebuilt_before_a_deletion_by_hand(
    platform: Platform,
) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    project = audit_projection(platform)
    assert project(records[:2]) == DONE
    assert project([reported(platform, states[2], None)]) == DONE
    rows = must_tell_but_last(platform, states)
    assert (rows[-1].action, rows[-1].image_hash) == ("out_of_band", "")
    assert project([records[2]]) == DONE
    assert chain_of(platform, states[0].id) == rows


def must_tell_but_last(platform: Platform, states: Sequence[Any]) -> list[AuditRow]:
    rows = chain_of(platform, states[0].id)
    assert versions_of(rows) == [state.version for state in states]
    return rows


def test_an_out_of_band_edit_waits_for_earlier_versions_that_cannot_be_rebuilt(
    platform: Platform,
) -> None:
    states, records = history(platform, account(platform), *({"held_in": n} for n in range(1, 4)))
    edited = by_hand(states[3], credit_limit=5)
    edit = reported(platform, states[3], edited)
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    assert project([*records[:2], edit]) == DONE
    assert [number for _, number in parking.parked] == [edit.sequence_number]
    assert project([*records[2:], edit]) == DONE
    must_tell(platform, states)
    assert len(outside_alerts(platform)) == 1


def test_a_version_that_is_already_in_the_chain_keeps_its_stamp_and_raises_no_alert(
    platform: Platform,
) -> None:
    """Resetting a version out of band makes the application write past versions again."""
    first = account(platform)
    jumped = by_hand(first, version=9, credit_limit=5)
    tenth = next_version(jumped, held_in=1)
    back = by_hand(tenth, version=4)
    states = [first, jumped, tenth, back]
    for number in range(2, 5):
        states.append(next_version(states[-1], held_in=number))
    records = records_of(platform, states)
    project = audit_projection(platform)
    for _ in range(2):
        assert project(records) == DONE
    rows = chain_of(platform, first.id)
    assert [row.version for row in rows] == [1, 9, 10, 4, 5, 6, 7]
    assert actions_of(rows).count("out_of_band") == len(outside_alerts(platform)) == 2
    assert [row.user_id for row in rows[4:]] == ["user-5", "user-6", "user-7"]


@pytest.mark.parametrize("storm", range(8))
def test_after_any_loss_and_redrive_no_change_of_the_application_counts_as_out_of_band(
    storm: int, platform: Platform, dice: random.Random
) -> None:
    chance = random.Random(f"{dice.random()}-{storm}")
    states, own = [account(platform)], [True]
    for number in range(1, 15):
        own.append(chance.random() < 0.6)
        if own[-1]:
            states.append(next_version(states[-1], held_in=number))
        else:
            states.append(by_hand(states[-1], credit_limit=number))
    records = records_of(platform, states)
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    lost = [record for record in records if chance.random() < 0.3]
    for record in records:
        if record not in lost:
            given(project, record)
    drive_in_again(project, parking, lost, records)
    before = chain_of(platform, states[0].id)
    assert project(records) == DONE
    rows = chain_of(platform, states[0].id)
    assert rows == before
    images = [image_hash(image_of(platform, state)) for state in states]
    applications = {image for image, ours in zip(images, own, strict=True) if ours}
    assert applications <= images_told(rows, outside=False)
    assert images_told(rows, outside=True) == set(images) - applications
    reasons = {str(alert.detail["reason"]) for alert in outside_alerts(platform)}
    assert not [reason for reason in reasons if "with other values" in reason]


def given(project: AuditProjection, record: StreamRecord) -> None:
    assert project([record]) == DONE


def drive_in_again(
    project: AuditProjection,
    parking: ParkingLot,
    lost: Sequence[StreamRecord],
    records: Sequence[StreamRecord],
) -> None:
    """As `make redrive` does: in the stream's order, until nothing is parked any more."""
    left = [*lost, *_parked(parking, records)]
    for _ in records:
        parking.parked.clear()
        for record in sorted(left, key=lambda each: each.sequence_number):
            given(project, record)
        left = _parked(parking, records)
        if not left:
            return
    raise AssertionError("the parked records are never logged")


def _parked(parking: ParkingLot, records: Sequence[StreamRecord]) -> list[StreamRecord]:
    numbers = {number for _, number in parking.parked}
    return [record for record in records if record.sequence_number in numbers]


# ------------------------------------------------------------ ids that were used before


@pytest.mark.parametrize("seed", range(12))
def test_what_was_done_by_hand_before_an_entity_began_is_in_its_one_chain(
    platform: Platform, seed: int
) -> None:
    dice = random.Random(seed)
    first = account(platform)
    forged = by_hand(first, version=dice.choice([0, 1, 2, 3, 7]), credit_limit=5)
    if forged.version == 1:
        forged = by_hand(forged, updated_at="never")
    changes: list[tuple[Any, Any]] = [(None, forged)]
    for _ in range(dice.randint(0, 2)):
        changes.append((changes[-1][1], by_hand(changes[-1][1], credit_limit=dice.randint(6, 99))))
    if dice.random() < 0.3:  # the same again
        changes += [(changes[-1][1], None), (None, forged)]
    changes.append((changes[-1][1], None))
    states = [first, next_version(first, held_in=1), next_version(first, held_in=1)]
    states[2] = next_version(states[1], held_in=2)
    changes += zip([None, *states], states, strict=False)
    records = [reported(platform, old, new) for old, new in changes]
    project = audit_projection(platform)
    given: list[StreamRecord] = []
    for record in records:
        given.append(record)
        again = given[-dice.randint(1, len(given)) :]
        assert project(dice.choice([[record], again])) == DONE
        assert project(again) == DONE
    rows = chain_of(platform, first.id)
    assert [row.image_hash for row in rows] == [
        image_hash(None if new is None else image_of(platform, new)) for _, new in changes
    ]
    assert rows[0].sequence == version_key(1)
    of_hand = [row.action == "out_of_band" for row in rows]
    assert of_hand == [True] * (len(changes) - 3) + [False] * 3
    assert len(outside_alerts(platform)) == sum(of_hand)


# ------------------------------------------------------------ repeated changes


def test_a_deleted_row_restored_unchanged_is_logged_as_restored(
    platform: Platform,
) -> None:
    first = account(platform)
    second = next_version(first, held_in=1)
    records = [
        reported(platform, None, first),
        reported(platform, first, None),
        reported(platform, None, first),
    ]
    project = audit_projection(platform)
    for _ in range(2):
        assert project(records) == DONE
    assert project([reported(platform, first, second)]) == DONE
    assert project(records) == DONE
    rows = chain_of(platform, first.id)
    assert actions_of(rows) == [
        "account_opened",
        "out_of_band",
        "out_of_band",
        "incoming_funds_held",
    ]
    assert rows[2].image_hash == rows[0].image_hash
    reasons = [str(alert.detail["reason"]) for alert in outside_alerts(platform)]
    assert sorted(reasons) == ["a deleted row was restored", "the row was deleted"]


def test_a_balance_change_is_verified_once_even_if_its_transfer_is_edited_later(
    platform: Platform,
) -> None:
    first = account(platform)
    second = debited(platform, first, 30)
    records = [reported(platform, None, first), reported(platform, first, second)]
    project = audit_projection(platform)
    assert project(records) == DONE
    edited = stored_transfer(platform, second.cause).model_copy(update={"status": "canceled"})
    platform.store.transact([put(edited)], token="edit")
    assert project(records) == DONE
    must_tell(platform, [first, second])
    assert outside_alerts(platform) == []


def test_a_rebuilt_balance_change_is_verified_when_its_record_arrives(
    platform: Platform,
) -> None:
    first = account(platform)
    forged = next_version(first, balance=1_000_000, cause="trf_none")
    third = next_version(forged, held_in=1)
    records = records_of(platform, [first, forged, third])
    project = audit_projection(platform)
    assert project([records[0], records[2]]) == DONE
    for _ in range(2):
        assert project([records[1]]) == DONE
    assert actions_of(chain_of(platform, first.id)) == [
        "account_opened",
        "rebuilt",
        "incoming_funds_held",
        "out_of_band",
    ]
    assert len(outside_alerts(platform)) == 1


def stored_transfer(platform: Platform, transfer_id: str) -> Transfer:
    return next(row for row in platform.rows(Transfer) if row.id == transfer_id)
