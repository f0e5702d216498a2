"""Lockout and erasure of customers, and limits of merchants, on handwritten commits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulation.commits import HandMade

BEFORE, LATER = "2026-03-14T09:00:00.000Z", "2026-03-14T09:10:00.000Z"


@pytest.fixture
def engine() -> HandMade:
    return HandMade()


def found(engine: HandMade, rule: str) -> list[str]:
    return [each.detail for each in engine.watch.findings if each.rule == rule]


def customer(version: int, failures: int, locked_until: str | None = None, **more: Any) -> Any:
    row = {"id": "cus_1", "merchant_id": "mer_1", "version": version, "failed_attempts": failures}
    return {**row, "locked_until": locked_until, **more}


def payment(version: int, status: str, **more: Any) -> Any:
    row = {"id": "pay_1", "version": version, "status": status, "customer_id": "cus_1"}
    return {**row, "created_at": BEFORE, "merchant_id": "mer_1", **more}


def test_the_third_failure_locks(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 0))
    engine.commit(customers=customer(2, 1))
    engine.commit(customers=customer(3, 2))
    engine.commit(customers=customer(4, 3, LATER))
    assert found(engine, "lock-out") == []


def test_a_third_failure_without_a_lock_is_found(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 2))
    engine.commit(customers=customer(2, 3))
    assert found(engine, "lock-out") == ["cus_1 has 3 failures in a row, and is not locked"]


def test_a_lock_after_fewer_failures_is_found(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 1))
    engine.commit(customers=customer(2, 2, LATER))
    assert found(engine, "lock-out") == ["cus_1 is locked by failure 2 after 1"]


def test_a_locked_customer_that_pays_is_found(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 3, LATER))
    engine.commit(payments=payment(1, "processing"))
    assert found(engine, "lock-out") == [f"pay_1 begins for cus_1, which is locked until {LATER}"]


def test_a_customer_can_pay_after_a_lock_expires(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 3, BEFORE))
    engine.commit(payments=payment(1, "processing"))
    assert found(engine, "lock-out") == []


@pytest.mark.parametrize(
    ("code", "counts"), [("insufficient_funds", True), ("processor_unreachable", False)]
)
def test_a_declined_payment_must_be_counted_in_its_own_commit(
    engine: HandMade, code: str, *, counts: bool
) -> None:
    engine.commit(customers=customer(1, 0))
    engine.commit(payments=payment(1, "processing"))
    engine.commit(payments=payment(2, "failed", failure_code=code))
    reported = ["pay_1 failed, and is not counted against cus_1"]
    assert found(engine, "lock-out") == (reported if counts else [])


def test_a_counted_failure_is_correct(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 0))
    engine.commit(payments=payment(1, "processing"))
    engine.commit(payments=payment(2, "failed"), customers=customer(2, 1))
    assert found(engine, "lock-out") == []


# -------------------------------------------------------------------- erasure


def key(purpose: str, wrapped: str | None = "sealed") -> Any:
    return {"subject": f"{purpose}#cus_1", "key_id": "k000000001", "wrapped": wrapped}


ERASED = {"id": "cus_1", "version": 2, "erased_at": BEFORE, "name": None}


def test_a_customer_is_erased_with_all_of_its_keys(engine: HandMade) -> None:
    engine.commit(keys=[key("pii"), key("pci")], customers=customer(1, 0, name="sealed"))
    engine.commit(keys=[key("pii", None), key("pci", None)], customers=ERASED)
    assert found(engine, "erasure") == []


def test_a_key_that_remains_after_erasure_is_found(engine: HandMade) -> None:
    engine.commit(keys=[key("pii"), key("pci")], customers=customer(1, 0))
    engine.commit(keys=key("pii", None), customers=ERASED)
    assert found(engine, "erasure") == ["cus_1 keeps its keys [('pci#cus_1', 'k000000001')]"]


def test_a_key_created_since_the_row_was_last_written_may_remain(engine: HandMade) -> None:
    engine.commit(keys=key("pii"), customers=customer(1, 0))
    engine.commit(keys=key("pci"))
    engine.commit(keys=key("pii", None), customers=ERASED)
    assert found(engine, "erasure") == []


def test_a_key_created_after_erasure_is_allowed(engine: HandMade) -> None:
    engine.commit(keys=key("pii"), customers=customer(1, 0))
    engine.commit(keys=key("pii", None), customers=ERASED)
    engine.commit(keys=key("pci"))
    engine.commit(customers={**ERASED, "version": 3})
    assert found(engine, "erasure") == []


def test_a_personal_field_that_remains_after_erasure_is_found(engine: HandMade) -> None:
    engine.commit(customers=customer(1, 0, name="sealed", phone="sealed"))
    engine.commit(customers={**ERASED, "phone": "sealed"})
    assert found(engine, "erasure") == ["cus_1 was erased, and still has ['phone']"]


# -------------------------------------------------------------------- limits


def merchant(version: int, **limits: int | None) -> Any:
    return {"id": "mer_1", "version": version, "rate_limits": limits}


def minute(used: int) -> Any:
    return {"id": "mer_1#minute#2026-03-14T09:00", "used": used}


def test_a_window_with_one_payment_too_many_is_found(engine: HandMade) -> None:
    engine.commit(merchants=merchant(1, payments_per_minute=3))
    engine.commit(limits=minute(3))
    assert found(engine, "limit") == []
    engine.commit(limits=minute(4))
    assert found(engine, "limit") == ["mer_1#minute#2026-03-14T09:00 has used 4 of 3"]


def test_the_highest_limit_that_a_merchant_had_applies(engine: HandMade) -> None:
    engine.commit(merchants=merchant(1, payments_per_minute=5))
    engine.commit(merchants=merchant(2, payments_per_minute=3))
    engine.commit(limits=minute(5))
    assert found(engine, "limit") == []
    engine.commit(limits=minute(6))
    assert len(found(engine, "limit")) == 1


def test_a_merchant_that_was_without_a_limit_is_not_checked(engine: HandMade) -> None:
    engine.commit(merchants=merchant(1, payments_per_minute=None))
    engine.commit(merchants=merchant(2, payments_per_minute=3))
    engine.commit(limits=minute(9))
    assert found(engine, "limit") == []
