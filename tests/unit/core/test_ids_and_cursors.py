"""Ids in order of time, and cursors that are valid only for their own list."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.errors import BadCursor
from runtime.core.ids import (
    age_seconds,
    created_at,
    highest_id,
    id_at,
    lowest_id,
    repeatable_id,
)
from runtime.core.timestamps import end_of, start_of, to_datetime, to_epoch_seconds, to_timestamp
from runtime.functions.composition.real_outside import real_outside
from runtime.http.caller import Caller
from runtime.http.cursors import MAX_CURSOR_CHARACTERS, seal, unseal
from runtime.http.request_context import Call

KEY = b"k" * 32
new_id = real_outside().new_id
moments = st.integers(0, 180 * 365 * 86_400_000_000).map(
    lambda microseconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@given(moments, moments)
def test_ids_sort_in_order_of_creation(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    if second - first >= timedelta(milliseconds=1):
        assert new_id("pay", first) < new_id("pay", second)


@given(moments)
def test_an_id_contains_its_creation_time_in_milliseconds(moment: datetime) -> None:
    identifier = new_id("pay", moment)
    assert to_timestamp(created_at(identifier)) == to_timestamp(moment)
    assert lowest_id("pay", moment) <= identifier <= highest_id("pay", moment)
    before, after = moment - timedelta(milliseconds=1), moment + timedelta(milliseconds=1)
    assert highest_id("pay", before) < identifier < lowest_id("pay", after)


@given(moments)
def test_a_deterministic_id_derives_from_its_time_and_meaning(moment: datetime) -> None:
    one = repeatable_id("alr", moment, "large_transaction", "pay_1")
    assert one == repeatable_id("alr", moment, "large_transaction", "pay_1")
    assert to_timestamp(created_at(one)) == to_timestamp(moment)
    assert len(one) == len(new_id("alr", moment))
    others = {
        repeatable_id("alr", moment, "large_transaction", "pay_2"),
        repeatable_id("alr", moment, "large_transactionpay", "_1"),
        repeatable_id("alr", moment + timedelta(milliseconds=1), "large_transaction", "pay_1"),
    }
    assert len(others | {one}) == 4


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="past the year 9999"):
        created_at("pay_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")


def test_no_id_is_older_than_the_epoch() -> None:
    moment = datetime(1969, 7, 20, tzinfo=UTC)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert created_at(repeatable_id("alr", moment, "x")) == epoch
    assert lowest_id("pay", moment) < new_id("pay", epoch) < highest_id("pay", epoch)


def test_ids_are_unique_within_a_millisecond() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert len({new_id("pay", moment) for _ in range(10_000)}) == 10_000


def test_an_id_derives_from_its_time_and_the_given_entropy() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    one, again = (replace(real_outside(), entropy=Random(3).randbytes) for _ in range(2))
    made = [one.new_id("pay", moment), one.new_id("pay", moment)]
    assert made == [again.new_id("pay", moment), again.new_id("pay", moment)]
    assert made[0] == id_at("pay", moment, Random(3).randbytes(10))
    caller = Caller("user", "mer_1", frozenset({"payments"}), "request")
    call = Call(caller, "POST", "/v1/payments", moment, "print", entropy=Random(3).randbytes)
    assert [call.new_id("pay"), call.new_id("pay")] == made


def test_a_text_without_a_ulid_has_no_time() -> None:
    for text in ("pay_", "pay", "", "pay_!!!!!!!!!!!!!!!!!!!!!!!!!!"):
        with pytest.raises(ValueError, match=r".*"):
            created_at(text)


@given(moments)
def test_a_timestamp_is_truncated_to_milliseconds_and_never_in_the_future(
    moment: datetime,
) -> None:
    text = to_timestamp(moment)
    assert len(text) == len("2026-01-01T00:00:00.000Z")
    assert timedelta() <= moment - to_datetime(text) < timedelta(milliseconds=1)
    assert to_epoch_seconds(moment) <= moment.timestamp()


def test_timestamps_of_other_time_zones_are_converted_to_utc() -> None:
    assert to_timestamp(datetime.fromisoformat("2026-01-01T01:00:00+02:00")) == (
        "2025-12-31T23:00:00.000Z"
    )


@given(moments, moments)
def test_timestamps_sort_as_text_in_order_of_time(one: datetime, other: datetime) -> None:
    assert (to_timestamp(one) < to_timestamp(other)) <= (one < other)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-03-14", "2026-03-14T00:00:00.000Z", "2026-03-14T23:59:59.999Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z", "2024-02-29T23:59:59.999Z"),
        ("9999-12-31", "9999-12-31T00:00:00.000Z", "9999-12-31T23:59:59.999Z"),
        ("2026-03-14T10:00:00", "2026-03-14T10:00:00.000Z", "2026-03-14T10:00:00.000Z"),
        ("2026-03-14T10:00:00.25Z", "2026-03-14T10:00:00.250Z", "2026-03-14T10:00:00.250Z"),
        ("2026-03-14T10:00:00+00:00", "2026-03-14T10:00:00.000Z", "2026-03-14T10:00:00.000Z"),
    ],
)
def test_a_day_covers_all_of_it_and_a_moment_only_itself(text: str, first: str, last: str) -> None:
    assert (to_timestamp(start_of(text)), to_timestamp(end_of(text))) == (first, last)


@pytest.mark.parametrize(
    "text", ["2026-02-30", "2026-13-01", "0000-01-01", "tomorrow!!", "٢٠٢٦-01-01"]
)
def test_an_invalid_day_is_a_value_error(text: str) -> None:
    for read in (start_of, end_of):
        with pytest.raises(ValueError, match=r".*"):
            read(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_cursor_is_valid_with_its_own_binding(binding: str, position: str) -> None:
    assert unseal(KEY, binding, seal(KEY, binding, position)) == position


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_a_cursor_is_invalid_with_another_binding(
    binding: str, position: str, other: str, tail: str
) -> None:
    cursor = seal(KEY, binding, position)
    for wrong in (binding + tail, other):
        if wrong != binding:
            with pytest.raises(BadCursor):
                unseal(KEY, wrong, cursor)
    with pytest.raises(BadCursor):
        unseal(b"other key", binding, cursor)


@given(st.text(max_size=20), st.integers(0, 63), st.integers(1, 63))
def test_a_cursor_has_one_encoding(position: str, place: int, shift: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    cursor = seal(KEY, "list", position)
    at = place % len(cursor)
    other = alphabet[(alphabet.index(cursor[at]) + shift) % len(alphabet)]
    for wrong in (cursor[:at] + other + cursor[at + 1 :], cursor + "=", cursor + "\n"):
        with pytest.raises(BadCursor):
            unseal(KEY, "list", wrong)


def test_changing_any_byte_of_a_cursor_makes_it_invalid() -> None:
    cursor = seal(KEY, "payments|mer_1", "pay_01KKNS5TM27YDJ43Y2ZGZA8BEN")
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for place in range(len(sealed)):
        for bit in (1, 128):
            forged = bytearray(sealed)
            forged[place] ^= bit
            text = base64.urlsafe_b64encode(bytes(forged)).rstrip(b"=").decode()
            with pytest.raises(BadCursor):
                unseal(KEY, "payments|mer_1", text)


@given(st.text(max_size=MAX_CURSOR_CHARACTERS + 10))
def test_any_other_text_is_a_bad_cursor(text: str) -> None:
    with pytest.raises(BadCursor) as refused:
        unseal(KEY, "binding", text)
    assert refused.value.param == "cursor"


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_shortened_or_lengthened_cursor_is_bad(cut: int) -> None:
    cursor = seal(KEY, "b", "position")
    for text in (cursor[:-cut], cursor + "A" * cut, cursor[cut:]):
        with pytest.raises(BadCursor):
            unseal(KEY, "b", text)


def test_the_age_of_an_id_is_never_negative_and_unknown_if_it_has_no_time() -> None:
    created = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
    identifier = id_at("pay", created, bytes(10))
    assert age_seconds(identifier, created + timedelta(seconds=90, milliseconds=7)) == 90.007
    assert age_seconds(identifier, created - timedelta(seconds=1)) == 0.0
    assert age_seconds("pay_of-someone-else", created) is None
