"""Settlement lines on handwritten commits: tolerances, and the clearing account."""

from __future__ import annotations

from typing import Any

import pytest

from simulation.partners.sandbox import refuses_capture
from tests.support.simulation.commits import HandMade


@pytest.fixture
def engine() -> HandMade:
    return HandMade()


def merchant(version: int, tolerance: int) -> Any:
    return {"id": "mer_1", "version": version, "reconciliation": {"tolerance_minor": tolerance}}


def line(status: str, amount: int, ours: int | None = 100, **flows: int) -> Any:
    booking = {"transfer_id": "trf_1", "currency": "USD", "flows": flows}
    row = {"settlement_bucket": "stl_1#0", "line": 1, "settlement_id": "stl_1", "status": status}
    expected = None if ours is None else {"amount": ours, "fee": 5, "currency": "USD"}
    return {
        **row,
        "merchant_id": "mer_1",
        "amount": amount,
        "expected": expected,
        "bookings": [booking] if flows else [],
    }


def found(engine: HandMade) -> list[str]:
    return [each.detail for each in engine.watch.findings if each.rule == "settlement amount"]


def test_a_difference_of_one_unit_outside_the_tolerance_is_found(engine: HandMade) -> None:
    engine.commit(merchants=merchant(1, 0))
    engine.commit(settlement_lines=line("matched", 101))
    assert len(found(engine)) == 1
    assert "says 101 of 100, and matches" in found(engine)[0]


@pytest.mark.parametrize("status", ["amount_mismatch", "superseded"])
def test_a_difference_with_an_exception_is_correct(engine: HandMade, status: str) -> None:
    engine.commit(merchants=merchant(1, 0))
    engine.commit(settlement_lines=line(status, 101))
    assert found(engine) == []


def test_the_highest_tolerance_that_a_merchant_had_applies(engine: HandMade) -> None:
    engine.commit(merchants=merchant(1, 2))
    engine.commit(merchants=merchant(2, 0))
    engine.commit(settlement_lines=line("matched", 102, net=97, fee=5, adjusted=2))
    assert found(engine) == []
    engine.commit(settlement_lines=line("matched", 103, net=98, fee=5, adjusted=3))
    assert len(found(engine)) == 1


def test_an_unbooked_difference_on_clearing_is_found(
    engine: HandMade,
) -> None:
    engine.commit(settlement_lines=line("amount_mismatch", 120, net=115, fee=5, adjusted=20))
    engine.commit(settlement_lines=line("amount_mismatch", 120, net=115, fee=5, written_off=20))
    assert found(engine) == []
    engine.commit(settlement_lines=line("amount_mismatch", 120, net=115, fee=5))
    assert len(found(engine)) == 1
    assert "takes 120 USD off the clearing account, which has 100" in found(engine)[0]


def test_a_line_that_has_reversed_its_bookings_is_correct(engine: HandMade) -> None:
    row = line("superseded", 100, net=95, fee=5)
    back = {"transfer_id": "trf_2", "currency": "USD", "flows": {"net": -95, "fee": -5}}
    engine.commit(settlement_lines={**row, "bookings": [*row["bookings"], back]})
    assert found(engine) == []


def test_the_simulated_sandbox_refuses_a_few_captures_permanently() -> None:
    names = [f"txn_{number}" for number in range(2_000)]
    refused = [name for name in names if refuses_capture(name)]
    assert 50 <= len(refused) <= 150
    assert all(refuses_capture(name) for name in refused)
