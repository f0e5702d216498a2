"""Leases on handwritten commits. There, virtual time 0 is 1970-01-12T13:46:40Z."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulation.commits import HandMade

OVER, NEARLY, LATER = (f"1970-01-12T13:{minute}.000Z" for minute in ("46:00", "46:45", "48:00"))


@pytest.fixture
def engine() -> HandMade:
    return HandMade()


def payment(version: int, owner: str | None, until: str | None, **more: Any) -> Any:
    row = {"id": "pay_1", "version": version, "status": "processing", "merchant_id": "mer_1"}
    return {**row, "lease_owner": owner, "lease_expires_at": until, **more}


def found(engine: HandMade) -> list[str]:
    return [each.detail for each in engine.watch.findings if each.rule == "lease"]


def test_taking_a_held_lease_is_found(engine: HandMade) -> None:
    engine.commit(payments=payment(1, "att_1", LATER))
    engine.commit(payments=payment(2, "att_2", LATER))
    assert found(engine) == [f"pay_1 is taken by att_2, and belongs to att_1 until {LATER}"]


@pytest.mark.parametrize("until", [OVER, NEARLY])
def test_an_expired_lease_may_be_taken_by_a_fast_clock(engine: HandMade, until: str) -> None:
    engine.commit(payments=payment(1, "att_1", until))
    engine.commit(payments=payment(2, "att_2", LATER))
    assert found(engine) == []


def test_an_owner_may_end_and_renew_its_lease(engine: HandMade) -> None:
    engine.commit(payments=payment(1, "att_1", LATER))
    engine.commit(payments=payment(2, "att_1", LATER))
    engine.commit(payments=payment(3, None, None))
    engine.commit(payments=payment(4, "att_2", LATER))
    assert found(engine) == []


def test_a_capture_that_begins_while_the_payment_is_closed_is_found(engine: HandMade) -> None:
    engine.commit(payments=payment(1, None, None, closing_id="txn_1", pending_capture_minor=0))
    engine.commit(payments=payment(2, None, None, closing_id="txn_1", pending_capture_minor=5))
    assert found(engine) == ["pay_1 is captured while txn_1 closes it"]


def test_the_capture_that_closes_the_payment_is_correct(engine: HandMade) -> None:
    engine.commit(payments=payment(1, None, None))
    engine.commit(payments=payment(2, None, None, closing_id="txn_1", pending_capture_minor=5))
    engine.commit(payments=payment(3, None, None, closing_id=None, pending_capture_minor=0))
    assert found(engine) == []
