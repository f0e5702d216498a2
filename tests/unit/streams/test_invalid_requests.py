"""A record whose projection DynamoDB refuses as invalid is found in its batch and parked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.errors import (
    InvalidRequest,
    TransactionRefused,
    transient_code,
    transient_reason,
)
from runtime.functions.composition.projector import Projector
from runtime.streams.records import INVALID, Kind, StreamRecord
from tests.support.fakes import ParkingLot


def records(count: int) -> list[StreamRecord]:
    return [StreamRecord("payments", Kind.INSERT, str(n), None, {}, {"n": n}) for n in range(count)]


class Deriving:
    """Projects each record once, except those with an invalid write."""

    def __init__(self, poison: frozenset[int], failing: frozenset[int] = frozenset()) -> None:
        self.poison, self.failing = poison, failing
        self.done: list[int] = []

    def __call__(self, given: Sequence[StreamRecord]) -> frozenset[str]:
        numbers = [int(each.sequence_number) for each in given]
        if set(numbers) & self.poison:
            raise InvalidRequest("Size of hashkey has exceeded the maximum size limit")
        self.done += [n for n in numbers if n not in self.failing]
        return frozenset(str(n) for n in numbers if n in self.failing)


def applied(derive: Any, count: int, parking: Any) -> frozenset[str]:
    codec = Codec(NoCipher())
    return Projector(codec, {}, lambda _: False, parking, images=(derive,)).apply(records(count))


@given(st.integers(1, 100), st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)))
def test_poison_records_are_parked_and_all_others_projected_once_in_order(
    count: int, poison: set[int], failing: set[int]
) -> None:
    parking = ParkingLot()
    derive = Deriving(frozenset(poison), frozenset(failing) - poison)
    failed = applied(derive, count, parking)
    mine = range(count)
    assert derive.done == [n for n in mine if n not in poison and n not in failing]
    assert failed == {str(n) for n in mine if n in derive.failing}
    assert parking.parked == {("payments", str(n)): INVALID for n in mine if n in poison}


def test_a_poison_record_that_cannot_be_parked_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no bucket")

    parking = ParkingLot()
    monkeypatch.setattr(parking, "park", broken)
    derive = Deriving(frozenset({3}))
    assert applied(derive, 5, parking) == {"3"}
    assert derive.done == [0, 1, 2, 4]


def error(code: str, **more: Any) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "said"}, **more}, "TransactWriteItems")


def canceled(*codes: str) -> ClientError:
    reasons = [{"Code": code, "Message": f"said {code}"} for code in codes]
    return error("TransactionCanceledException", CancellationReasons=reasons)


def test_an_invalid_request_is_distinguished_from_transient_errors() -> None:
    with pytest.raises(InvalidRequest, match="said"):
        transient_code(error("ValidationException"))
    assert transient_code(error("ThrottlingException")) == "ThrottlingException"
    with pytest.raises(ClientError):
        transient_code(error("AccessDeniedException"))


@pytest.mark.parametrize(
    "codes",
    [("None", "ValidationError"), ("ValidationError", "TransactionConflict"), ("ValidationError",)],
)
def test_a_canceled_invalid_write_is_not_retried(codes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match="said ValidationError"):
        transient_reason(canceled(*codes))


def test_a_failed_condition_takes_precedence_over_an_invalid_write() -> None:
    with pytest.raises(TransactionRefused):
        transient_reason(canceled("ConditionalCheckFailed", "ValidationError"))
