"""The chain of audit rows: every tampering that a chain can show, with its position."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.audit.chain import (
    GENESIS,
    Unreadable,
    cause_of_record,
    check_chain,
    hash_of,
    is_before_record,
    is_of_record,
    outside_key,
    sealed,
    version_in,
    version_key,
)
from runtime.audit.models import AuditRow, EntityType
from runtime.core.canonical_json import canonical_json, digest


def row(version: int, previous: str, sequence: str | None = None, **more: Any) -> AuditRow:
    values: dict[str, Any] = {
        "entity_id": "acc_a",
        "sequence": sequence or version_key(version),
        "action_bucket": "balance_debited#001",
        "user_bucket": "user#001",
        "merchant_bucket": "mer_a#000",
        "timestamp": "2026-03-14T09:00:00.000Z",
        "entity_type": EntityType.ACCOUNT,
        "version": version,
        "action": "balance_debited",
        "user_id": "user",
        "merchant_id": "mer_a",
        "old_values": {"balance": 10},
        "new_values": {"balance": 10 - version},
        "changes": ("balance",),
        "image_hash": digest(version),
        "prev_hash": previous,
        **more,
    }
    return sealed(AuditRow(**values))


def chain(length: int) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for version in range(1, length + 1):
        rows.append(row(version, rows[-1].hash if rows else GENESIS))
    return rows


def rehashed(rows: list[AuditRow]) -> list[AuditRow]:
    """The same rows, each hashed again after the one before it, as by a careful forger."""
    done: list[AuditRow] = []
    for each in rows:
        previous = done[-1].hash if done else GENESIS
        done.append(sealed(each.model_copy(update={"prev_hash": previous})))
    return done


def test_a_complete_chain_is_valid_and_has_its_head() -> None:
    rows = chain(5)
    verdict = check_chain(rows)
    assert verdict.valid
    assert (verdict.length, verdict.head_hash) == (5, rows[-1].hash)


def test_an_empty_chain_is_valid() -> None:
    verdict = check_chain([])
    assert (verdict.valid, verdict.length, verdict.head_hash) == (True, 0, GENESIS)


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "another owner"},
        {"new_values": {"balance": 1_000_000}},
        {"changes": ()},
        {"timestamp": "2026-03-14T09:00:00.001Z"},
        {"merchant_bucket": "mer_b#000"},
        {"image_hash": digest("another image")},
        {"hash": digest("another row")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_edited_row_is_found_at_its_position(changes: dict[str, Any]) -> None:
    rows: list[Any] = chain(5)
    rows[2] = rows[2].model_copy(update=changes)
    bad = check_chain(rows).first_bad
    assert bad is not None
    assert (bad.sequence, bad.position) == (version_key(3), 3)


def test_an_edited_row_with_a_recomputed_hash_is_found_at_the_next_one() -> None:
    rows = chain(5)
    rows[2] = sealed(rows[2].model_copy(update={"user_id": "another owner"}))
    bad = check_chain(rows).first_bad
    assert bad is not None
    assert (bad.sequence, bad.position) == (version_key(4), 4)


def test_a_deleted_row_is_found_at_the_next_one() -> None:
    rows = chain(5)
    del rows[2]
    bad = check_chain(rows).first_bad
    assert bad is not None
    assert (bad.sequence, bad.position) == (version_key(4), 3)


def test_a_deleted_first_row_is_found() -> None:
    rows = chain(3)[1:]
    for each in (rows, rehashed(rows)):
        bad = check_chain(each).first_bad
        assert bad is not None
        assert bad.position == 1


def test_two_swapped_rows_are_found_with_and_without_swapped_sequences() -> None:
    rows = chain(5)
    rows[1], rows[2] = rows[2], rows[1]
    first = check_chain(rows).first_bad
    assert first is not None
    assert first.position == 2
    two, three = rows[1].sequence, rows[2].sequence
    rows[1] = sealed(rows[1].model_copy(update={"sequence": three}))
    rows[2] = sealed(rows[2].model_copy(update={"sequence": two}))
    second = check_chain(rows).first_bad
    assert second is not None
    assert second.position == 2


@pytest.mark.parametrize("outside", [False, True])
def test_an_inserted_row_is_found(outside: bool) -> None:
    rows = chain(5)
    sequence = outside_key(2, "7") if outside else version_key(3)
    rows.insert(2, row(2 if outside else 3, rows[1].hash, sequence))
    bad = check_chain(rows).first_bad
    assert bad is not None
    assert bad.position == 4


def test_an_unreadable_row_is_invalid_and_the_rest_is_counted() -> None:
    rows: list[Any] = chain(5)
    rows[3] = Unreadable("acc_a", version_key(4))
    verdict = check_chain(rows)
    assert verdict.length == 5
    assert verdict.first_bad is not None
    assert verdict.first_bad.position == 4


def test_a_rehashed_tail_deceives_only_the_chain() -> None:
    rows = chain(5)
    rows[2] = rows[2].model_copy(update={"user_id": "another owner"})
    assert check_chain(rehashed(rows)).valid, "only the archive shows it"


def test_an_omitted_version_is_found_even_if_everything_is_rehashed() -> None:
    rows = chain(5)
    del rows[2]
    bad = check_chain(rehashed(rows)).first_bad
    assert bad is not None
    assert bad.position == 3


def test_an_out_of_band_change_is_in_the_chain_and_may_skip_versions() -> None:
    rows = chain(2)
    rows.append(row(8, rows[-1].hash, outside_key(2, "100")))
    rows.append(row(9, rows[-1].hash))
    assert check_chain(rows).valid
    assert [each.sequence for each in rows] == sorted(each.sequence for each in rows)


@pytest.mark.parametrize("version", [0, 1, 2, 7])
def test_an_out_of_band_change_that_begins_a_chain_has_the_place_of_version_1(version: int) -> None:
    rows = [row(version, GENESIS, version_key(1), action="out_of_band")]
    assert check_chain(rows).valid
    rows.append(row(version, rows[-1].hash, outside_key(version, "100", rows[-1].sequence)))
    rows.append(row(1, rows[-1].hash, outside_key(0, "101", rows[-1].sequence)))
    assert check_chain(rows).valid
    by_the_platform = row(version, GENESIS, version_key(1))
    assert check_chain([by_the_platform]).valid is (version == 1)
    second = row(7, rows[0].hash, version_key(2), action="out_of_band")
    assert not check_chain([rows[0], second]).valid


def test_a_missing_version_is_found_also_before_an_out_of_band_change() -> None:
    rows = chain(3)
    rows.append(row(3, rows[-1].hash, outside_key(3, "100")))
    rows.append(row(4, rows[-1].hash))
    assert check_chain(rows).valid
    del rows[2]
    bad = check_chain(rehashed(rows)).first_bad
    assert bad is not None
    assert (bad.sequence, bad.position) == (outside_key(3, "100"), 3)
    assert "version 000000000003" in bad.reason


def test_a_missing_version_is_found_after_an_out_of_band_change() -> None:
    rows = chain(2)
    rows.append(row(2, rows[-1].hash, outside_key(2, "100")))
    rows.append(row(4, rows[-1].hash))
    bad = check_chain(rows).first_bad
    assert bad is not None
    assert bad.position == 4


def test_a_late_version_is_at_the_end_and_the_next_one_after_it() -> None:
    rows = chain(2)
    rows.append(row(8, rows[-1].hash, outside_key(2, "100")))
    rows.append(row(9, rows[-1].hash))
    rows.append(row(3, rows[-1].hash, outside_key(2, "90", rows[-1].sequence)))
    rows.append(row(10, rows[-1].hash))
    assert check_chain(rows).valid


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 10**39)), min_size=1, max_size=20))
def test_a_late_row_sorts_after_existing_ones_and_refers_to_its_record(
    changes: list[tuple[int, int]],
) -> None:
    behind = ""
    for version, number in changes:
        key = outside_key(version, str(number), behind)
        assert key > behind
        assert version_in(key) == max(version, version_in(behind) if behind else 0)
        late = row(version, GENESIS, key)
        assert is_of_record(late, str(number))
        assert not is_of_record(late, str(number + 1))
        assert is_before_record(late, str(number + 1))
        assert not is_before_record(late, str(number))
        behind = key
    assert not is_of_record(row(7, GENESIS), "7")
    assert not is_before_record(row(7, GENESIS), "8")


def test_an_out_of_band_change_that_begins_a_chain_names_its_record() -> None:
    begins = row(7, GENESIS, version_key(1), action="out_of_band", cause=cause_of_record("90"))
    assert is_of_record(begins, "90")
    assert not is_of_record(begins, "91")
    assert is_before_record(begins, "100")
    assert not is_before_record(begins, "90")
    by_the_platform = row(1, GENESIS, cause=cause_of_record("90"))
    assert not is_of_record(by_the_platform, "90")
    assert not is_before_record(by_the_platform, "100")


def test_only_the_chain_of_a_balance_shard_may_lack_versions() -> None:
    for entity, valid in (("acc_a", False), ("acc_a#07", True)):
        begins = row(3, GENESIS, version_key(1), action="out_of_band", entity_id=entity)
        later = row(9, begins.hash, outside_key(9, "100", begins.sequence), entity_id=entity)
        assert check_chain([begins, later]).valid is valid


def test_late_edits_in_order_make_no_long_sequences() -> None:
    behind = outside_key(2, "5000")
    for number in range(1, 200):
        behind = outside_key(2, str(number), behind)
    assert len(behind) <= len(version_key(2)) + 2 * 41


@given(st.lists(st.integers(1, 10**12 - 1), min_size=2, max_size=20, unique=True))
def test_sequences_sort_like_their_versions_with_out_of_band_ones_after_them(
    versions: list[int],
) -> None:
    keys = [key for v in sorted(versions) for key in (version_key(v), outside_key(v, "9" * 25))]
    assert keys == sorted(keys)
    assert [version_in(key) for key in keys[::2]] == sorted(versions)


def test_the_hash_is_sha256_of_the_other_attributes_as_canonical_json() -> None:
    made = row(1, GENESIS, new_values={"b": 1, "a": "é", "😀": [True, None]})
    values = made.model_dump(mode="json")
    del values["hash"]
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hash_of(made) == hashlib.sha256(text.encode()).hexdigest() == made.hash


def test_names_sort_by_utf16_code_units_as_in_rfc_8785() -> None:
    # Its own example (section 3.2.3) sorts U+1F600, written in surrogates, before U+FB33.
    text = canonical_json({"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3}).decode()
    assert text == '{"\u20ac":3,"\U0001f600":2,"\ufb33":1}'


def test_a_float_has_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical_json({"amount": 0.1})
