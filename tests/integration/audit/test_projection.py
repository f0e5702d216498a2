"""The audit log: every version once, in a chain, however its record arrives."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from runtime.audit.chain import GENESIS, outside_key, version_in, version_key
from runtime.audit.models import AuditRow, EntityType
from runtime.audit.projection.rows import AuditableChange, AuditRows
from runtime.core.timestamps import to_timestamp
from runtime.customers.models import Customer
from runtime.merchants.models import Merchant
from runtime.streams.records import StreamRecord
from tests.support.audit.rows import (
    DONE,
    account,
    audit_projection,
    chain_of,
    history,
    must_tell,
    next_version,
    outside_alerts,
    records_of,
    reported,
    transfer,
    versions_of,
)
from tests.support.engines.faults import Faults, ProcessKilled, seeded
from tests.support.fakes import ParkingLot
from tests.support.platform import Platform, at_once

# ------------------------------------------------------------ what a row contains


def test_a_row_says_what_changed_who_did_it_from_where_and_why(either_world: Platform) -> None:
    platform = either_world
    first = account(platform, balance=0)
    second = next_version(
        first,
        status="inactive",
        changed_by="operator",
        ip_address="192.0.2.7",
        user_agent="browser",
        request_id="req-7",
        cause="req-7",
        updated_at=to_timestamp(platform.clock()),
    )
    records = [reported(platform, None, first), reported(platform, first, second)]
    assert audit_projection(platform)(records) == DONE
    opened, changed = must_tell(platform, [first, second])
    assert (opened.action, opened.prev_hash, opened.old_values) == ("account_opened", GENESIS, {})
    assert opened.new_values["currency"] == "USD"
    assert changed.entity_type is EntityType.ACCOUNT
    assert changed.action == "account_deactivated"
    assert (changed.old_values, changed.new_values) == (
        {"status": "active"},
        {"status": "inactive"},
    )
    assert changed.changes == ("status",)
    assert (changed.user_id, changed.ip_address, changed.user_agent) == (
        "operator",
        "192.0.2.7",
        "browser",
    )
    assert (changed.request_id, changed.cause) == ("req-7", "req-7")
    assert changed.timestamp == second.updated_at
    assert changed.prev_hash == opened.hash
    assert outside_alerts(platform) == []


def test_encrypted_fields_and_metadata_are_shown_only_as_changed(
    either_world: Platform,
) -> None:
    platform = either_world
    merchant = platform.merchant()
    customer_id = platform.customer(merchant, "someone@secret.example")
    first = next(row for row in platform.rows(Customer) if row.id == customer_id)
    second = next_version(first, name="Carol", metadata={"note": "shoe size 43"})
    third = next_version(second, email=None, name=None, phone=None, metadata={}, erased_at="x")
    third = third.model_copy(update={"erased_at": to_timestamp(platform.clock())})
    states = [first, second, third]
    records = [
        reported(platform, old, new) for old, new in zip([None, *states], states, strict=False)
    ]
    assert audit_projection(platform)(records) == DONE
    rows = chain_of(platform, customer_id)
    assert [row.action for row in rows] == [
        "customer_created",
        "customer_updated",
        "customer_erased",
    ]
    assert {"metadata", "name"} <= set(rows[1].changes)
    assert set(rows[1].new_values.values()) == {"changed"}
    text = json.dumps([row.model_dump(mode="json") for row in rows])
    for secret in ("Jane Doe", "Carol", "someone@", "shoe", "note"):
        assert secret not in text


def test_a_new_entity_takes_one_call_and_its_next_version_two(either_world: Platform) -> None:
    platform = either_world
    platform.merchant()
    (merchant,) = platform.rows(Merchant)
    first = account(platform)
    posting = transfer(platform, first.id, 1)
    usage = platform.store.usage
    for row in (merchant, first, posting):
        records = [reported(platform, None, row), reported(platform, row, next_version(row))]
        for record, calls in zip(records, (1, 2), strict=True):
            usage.restart()
            assert audit_projection(platform)([record]) == DONE
            assert usage.counts()["round_trips"] == calls
        assert versions_of(chain_of(platform, row.id)) == [1, 2]


def test_an_account_that_an_insider_made_and_deleted_before_keeps_a_valid_chain(
    either_world: Platform,
) -> None:
    platform = either_world
    first = account(platform)
    by_hand = first.model_copy(update={"version": 7, "balance": 5})
    second = next_version(first, held_in=1)
    steps = [(None, by_hand), (by_hand, None), (None, first), (first, second)]
    for old, new in steps:
        assert audit_projection(platform)([reported(platform, old, new)]) == DONE
    rows = chain_of(platform, first.id)  # its chain must be valid
    assert [row.action for row in rows] == [
        "out_of_band",
        "out_of_band",
        "account_opened",
        "incoming_funds_held",
    ]
    assert len(outside_alerts(platform)) == 2
    assert rows[0].sequence == version_key(1), "every chain begins there"


# ------------------------------------------------------------ repeated, late, concurrent, partial


def test_repeated_records_write_nothing(either_world: Platform) -> None:
    platform = either_world
    states, records = history(platform, account(platform), *({"held_in": n} for n in range(1, 9)))
    project = audit_projection(platform)
    assert project([*records, *records]) == DONE
    before = platform.rows(AuditRow)
    for record in reversed(records):
        assert project([record]) == DONE
    assert project(records[3:6]) == DONE
    assert platform.rows(AuditRow) == before
    must_tell(platform, states)


def test_a_projector_that_dies_anywhere_is_completed_by_its_retry(
    either_world: Platform, dice: random.Random
) -> None:
    platform = either_world
    stories = [
        history(platform, account(platform), *({"held_in": n} for n in range(6))) for _ in "abcd"
    ]
    records = [record for step in zip(*(r for _, r in stories), strict=True) for record in step]
    # A hundred on average: one without a kill is rare, and only then it is known how far it came.
    for attempt in range(3_000):
        plan = seeded(f"{dice.random()}-{attempt}", 0.2, 0.1, kill_anywhere=True)
        client = Faults(plan).attach(platform.engine.dynamodb())
        store = platform.store_on(client, remaining_seconds=lambda: 0.0)
        try:
            failed = audit_projection(platform, store)(records)
        except ProcessKilled:
            continue
        # Lambda sends it again from the first that failed.
        first = next((n for n, r in enumerate(records) if r.sequence_number in failed), None)
        if first is None:
            break
        records = records[first:]
    else:
        raise AssertionError("the projection never completes")
    for states, _ in stories:
        must_tell(platform, states)
    assert outside_alerts(platform) == []


def test_two_concurrent_projectors_log_every_version_once(either_world: Platform) -> None:
    platform = either_world
    states, records = history(platform, account(platform), *({"held_in": n} for n in range(1, 20)))
    at_once(*([lambda: audit_projection(platform)(records)] * 4))
    must_tell(platform, states)
    assert outside_alerts(platform) == []


def test_records_after_a_failed_one_of_the_same_row_wait_and_others_do_not(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    other, others = history(platform, account(platform), {"held_in": 1})
    project = audit_projection(platform)
    append = project.audit.append

    def failing(row: AuditRow) -> AuditRow | None:
        if row.entity_id == states[0].id and row.version == 2:
            raise OSError("the table is gone")
        return append(row)

    monkeypatch.setattr(project.audit, "append", failing)
    assert project([*records, *others]) == {r.sequence_number for r in records[1:]}
    must_tell(platform, other)
    assert versions_of(chain_of(platform, states[0].id)) == [1]
    monkeypatch.undo()
    assert project(records[1:]) == DONE
    must_tell(platform, states)


# ------------------------------------------------------------ what was lost


def test_a_lost_record_is_rebuilt_from_the_next_and_its_late_arrival_changes_nothing(
    either_world: Platform,
) -> None:
    platform = either_world
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    project = audit_projection(platform)
    assert project([records[0], records[2]]) == DONE
    rows = must_tell(platform, states)
    assert [row.action for row in rows] == ["account_opened", "rebuilt", "incoming_funds_held"]
    assert rows[1].user_id == "user-2"
    assert rows[1].new_values["held_in"] == 1
    assert project([records[1]]) == DONE
    assert must_tell(platform, states) == rows


def test_a_lost_first_record_is_rebuilt(platform: Platform) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    assert audit_projection(platform)(records[1:]) == DONE
    assert must_tell(platform, states)[0].action == "rebuilt"


def test_two_lost_records_cannot_be_rebuilt_so_later_ones_are_parked_until_they_arrive(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    states, records = history(platform, account(platform), *({"held_in": n} for n in range(1, 5)))
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    assert project([records[0], *records[3:]]) == DONE
    assert [number for _, number in parking.parked] == [r.sequence_number for r in records[3:]]
    assert caplog.messages.count("record_parked") == 2
    assert versions_of(chain_of(platform, states[0].id)) == [1]
    assert project(records[1:3]) == DONE
    assert project(records[3:]) == DONE
    must_tell(platform, states)


# ------------------------------------------------------------ out-of-band changes


def test_an_out_of_band_edit_is_logged_once_and_raises_one_alert(
    either_world: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    platform = either_world
    first = account(platform)
    edited = first.model_copy(update={"credit_limit": 1_000_000})
    later = next_version(edited, held_in=1)
    records = [
        reported(platform, None, first),
        reported(platform, first, edited),
        reported(platform, edited, later),
    ]
    project = audit_projection(platform)
    for _ in range(3):
        assert project(records) == DONE
    rows = chain_of(platform, first.id)
    assert [row.action for row in rows] == ["account_opened", "out_of_band", "incoming_funds_held"]
    outside = rows[1]
    assert outside.sequence == outside_key(1, records[1].sequence_number)
    assert (outside.old_values, outside.new_values) == (
        {"credit_limit": 0},
        {"credit_limit": 1_000_000},
    )
    assert (outside.user_id, outside.cause, outside.request_id) == ("unknown", "", "")
    (alert,) = outside_alerts(platform)
    assert (alert.entity_id, alert.detail["sequence"]) == (first.id, outside.sequence)
    assert "out_of_band" in caplog.messages


@pytest.mark.parametrize("version", [1, 3, 9])
def test_the_log_continues_whatever_version_an_edit_leaves(
    version: int, platform: Platform
) -> None:
    first = account(platform)
    second = next_version(first, held_in=1)
    edited = second.model_copy(update={"version": version, "held_in": 7})
    states = [first, second, edited]
    for number in range(1, 5):
        states.append(next_version(states[-1], held_in=7 + number, cause=f"after-{number}"))
    records = [
        reported(platform, old, new) for old, new in zip([None, *states], states, strict=False)
    ]
    project = audit_projection(platform)
    for _ in range(2):
        assert project(records) == DONE
    rows = chain_of(platform, first.id)
    assert len(rows) == len(states)
    assert rows[-1].new_values == {"held_in": 11}
    assert rows[-1].version == states[-1].version


def test_an_out_of_band_deletion_is_logged_with_all_values(either_world: Platform) -> None:
    platform = either_world
    first = account(platform, balance=0, account_number="42")
    records = [reported(platform, None, first), reported(platform, first, None)]
    project = audit_projection(platform)
    for _ in range(2):
        assert project(records) == DONE
    created, deleted = chain_of(platform, first.id)
    assert deleted.action == "out_of_band"
    assert deleted.old_values["account_number"] == "42"
    assert (deleted.new_values, deleted.image_hash) == ({}, "")
    assert deleted.prev_hash == created.hash
    assert len(outside_alerts(platform)) == 1


def test_a_row_inserted_out_of_band_is_logged_whatever_it_contains(platform: Platform) -> None:
    image = {"id": {"S": "acc_x"}, "shard": {"S": "00"}, "balance": {"S": "many"}}
    raw = {"dynamodb": {"ApproximateCreationDateTime": 1_770_000_000.5}}
    record = StreamRecord("accounts", "INSERT", "7", None, image, raw)  # type: ignore[arg-type]
    assert audit_projection(platform)([record]) == DONE
    (row,) = chain_of(platform, "acc_x")
    assert (row.action, row.new_values) == ("out_of_band", {"balance": "many"})
    assert len(outside_alerts(platform)) == 1


def test_a_lost_out_of_band_edit_is_found_in_the_next_record(platform: Platform) -> None:
    first = account(platform)
    edited = first.model_copy(update={"credit_limit": 5})
    later = next_version(edited, held_in=1)
    lost = reported(platform, first, edited)
    project = audit_projection(platform)
    assert project([reported(platform, None, first), reported(platform, edited, later)]) == DONE
    rows = chain_of(platform, first.id)
    assert [row.action for row in rows] == ["account_opened", "out_of_band", "incoming_funds_held"]
    assert rows[1].new_values["credit_limit"] == 5
    assert len(outside_alerts(platform)) == 1
    assert project([lost]) == DONE
    assert chain_of(platform, first.id) == rows


def test_a_late_out_of_band_edit_is_logged_at_the_end_and_the_log_continues(
    platform: Platform,
) -> None:
    first = account(platform)
    edited = first.model_copy(update={"credit_limit": 5})
    back = edited.model_copy(update={"credit_limit": 0})
    second = next_version(back, held_in=1)
    third = next_version(second, held_in=2)
    late = [reported(platform, first, edited), reported(platform, edited, back)]
    project = audit_projection(platform)
    assert project([reported(platform, None, first), reported(platform, back, second)]) == DONE
    for _ in range(2):
        assert project(late) == DONE
    assert project([reported(platform, second, third)]) == DONE
    rows = chain_of(platform, first.id)
    assert [version_in(row.sequence) for row in rows] == [1, 2, 2, 2, 3]
    assert [row.action for row in rows].count("out_of_band") == 2


# ------------------------------------------------------------ owners and invalid rows


def test_a_row_moved_to_another_owner_is_logged_for_the_one_who_lost_it(
    either_world: Platform,
) -> None:
    platform = either_world
    first = account(platform, merchant_id="mer_a")
    moved = first.model_copy(update={"merchant_id": "mer_b"})
    forged = next_version(moved, merchant_id="mer_c")
    assert audit_projection(platform)(records_of(platform, [first, moved, forged])) == DONE
    _, row, again = chain_of(platform, first.id)
    assert (row.action, row.merchant_id, row.changes) == ("out_of_band", "mer_a", ("merchant_id",))
    assert (row.old_values, row.new_values) == (
        {"merchant_id": "mer_a"},
        {"merchant_id": "mer_b"},
    )
    assert (again.action, again.merchant_id) == ("out_of_band", "mer_b")
    assert {alert.merchant_id for alert in outside_alerts(platform)} == {"mer_a", "mer_b"}


def test_a_record_that_cannot_become_a_row_is_parked_and_does_not_block_others(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    other, others = history(platform, account(platform), {"held_in": 1})
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    of_version = AuditRows.of_version

    def failing(
        rows: AuditRows, reported: AuditableChange, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        if reported.entity_id == states[0].id and reported.new_version == 3:
            raise TypeError("'<' not supported between 'int' and 'str'")
        return of_version(rows, reported, sequence, previous)

    monkeypatch.setattr(AuditRows, "of_version", failing)
    assert project([*records, *others]) == DONE
    (reason,) = parking.parked.values()
    assert reason == "its images cannot become an audit row"
    must_tell(platform, other)
    monkeypatch.undo()
    assert project(records[2:]) == DONE
    must_tell(platform, states)


def test_a_lost_version_without_a_valid_time_is_not_taken_for_the_applications_own(
    platform: Platform,
) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    image = {**(records[2].old or {}), "updated_at": {"S": "yesterday"}}
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    assert project([records[0], replace(records[2], old=image)]) == DONE
    assert list(parking.parked.values()) == ["the record of a version before 3 is missing"]
    assert versions_of(chain_of(platform, states[0].id)) == [1]


def test_a_forged_time_is_replaced_by_the_time_of_the_stream(platform: Platform) -> None:
    first = account(platform)
    records = [
        reported(platform, None, first),
        reported(platform, first, next_version(first, held_in=1)),
    ]
    image = {**(records[1].new or {}), "updated_at": {"S": "2026-13-45T99:00:00.000Z"}}
    forged = replace(records[1], new=image)
    assert audit_projection(platform)([records[0], forged]) == DONE
    _, outside = chain_of(platform, first.id)
    assert outside.action == "out_of_band"
    assert outside.timestamp.startswith("2026-03-14")


def test_an_unreadable_log_does_not_block_others(platform: Platform) -> None:
    states, records = history(platform, account(platform), {"held_in": 1}, {"held_in": 2})
    other, others = history(platform, account(platform), {"held_in": 1})
    parking = ParkingLot()
    project = audit_projection(platform, parking=parking)
    assert project(records[:2]) == DONE
    platform.client.update_item(
        TableName=platform.tables["audit_log"],
        Key={"entity_id": {"S": states[0].id}, "sequence": {"S": version_key(2)}},
        UpdateExpression="SET #a = :v",
        ExpressionAttributeNames={"#a": "action"},
        ExpressionAttributeValues={":v": {"N": "1"}},
    )
    assert project([records[2], *others]) == DONE
    assert list(parking.parked) == [("accounts", records[2].sequence_number)]
    platform.client.update_item(
        TableName=platform.tables["audit_log"],
        Key={"entity_id": {"S": states[0].id}, "sequence": {"S": version_key(2)}},
        UpdateExpression="SET #a = :v",
        ExpressionAttributeNames={"#a": "action"},
        ExpressionAttributeValues={":v": {"S": "incoming_funds_held"}},
    )
    must_tell(platform, other)
    assert project([records[2]]) == DONE
    must_tell(platform, states)
