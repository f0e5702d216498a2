"""The sandbox's own limits, which would detect requests for more than there is."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest

from runtime.dynamodb.errors import TransactionRefused
from runtime.dynamodb.expressions import shorter, update
from runtime.payments.models import Payment
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import (
    AUTHORIZED,
    CAPTURED,
    VOIDED,
    Effect,
    SandboxChargeRepository,
)
from tests.support.platform import Platform, at_once


def fresh() -> str:
    return uuid.uuid4().hex


def remembered(reference: str, **values: Any) -> SandboxCharge:
    full: dict[str, Any] = {
        "reference": reference,
        "state": CAPTURED,
        "processor_id": f"sbx_{reference}",
        "amount": 100,
        "currency": "USD",
        "response_code": "approved",
        "response_text": "Approved",
        "created_at": "2026-01-01T00:00:00.000Z",
        "expires_at": 1,
        **values,
    }
    return SandboxCharge.model_validate(full)


def a_charge(
    state: str, capturable: int, refundable: int, *, name: str = "pay_1", **more: Any
) -> SandboxCharge:
    return remembered(name, state=state, capturable=capturable, refundable=refundable, **more)


def an_operation(reference: str, amount: int, *, of: str = "pay_1") -> SandboxCharge:
    return remembered(reference, kind="any", charge=of, amount=amount)


HELD, PART, TAKEN = (AUTHORIZED, 100, 0), (AUTHORIZED, 40, 60), (CAPTURED, 0, 100)
GONE = (VOIDED, 0, 60)


Amounts = tuple[str, int, int]
CASES: list[tuple[Amounts, Effect, int, Amounts | None]] = [
    (HELD, "capture", 100, (AUTHORIZED, 0, 100)),
    (HELD, "capture", 30, (AUTHORIZED, 70, 30)),
    (HELD, "capture", 101, None),
    (HELD, "final_capture", 30, (CAPTURED, 0, 30)),
    (HELD, "final_capture", 101, None),
    (PART, "capture", 41, None),
    (PART, "final_capture", 40, (CAPTURED, 0, 100)),
    (PART, "void", 40, (VOIDED, 0, 60)),
    (PART, "refund", 60, (AUTHORIZED, 40, 0)),
    (PART, "refund", 61, None),
    (TAKEN, "refund", 100, (CAPTURED, 0, 0)),
    (TAKEN, "refund", 101, None),
    (TAKEN, "capture", 1, None),
    (TAKEN, "final_capture", 1, None),
    (TAKEN, "void", 1, None),
    (GONE, "capture", 1, None),
    (GONE, "final_capture", 1, None),
    (GONE, "void", 1, None),
    (GONE, "refund", 60, (VOIDED, 0, 0)),
]
"""State, capturable and refundable; the request; the same three afterwards, None: refused."""


def test_a_charge_allows_its_remaining_amount_and_no_more(either_world: Platform) -> None:
    memory = SandboxChargeRepository(either_world.store)
    for number, (before, effect, amount, after) in enumerate(CASES):
        name = f"pay_{number}"
        memory.remember(a_charge(*before, name=name), token=fresh())
        wanted = an_operation(f"txn_{number}", amount, of=name)
        done = memory.operate(wanted, effect, token=fresh())
        assert done == (None if after is None else wanted), CASES[number]
        charge = memory.recall(name)
        assert charge is not None
        assert (charge.state, charge.capturable, charge.refundable) == (after or before)
        assert memory.recall(wanted.reference) == done
        if after is not None:
            other = wanted.model_copy(update={"amount": 1})
            assert memory.operate(other, effect, token=fresh()) == wanted, "the stored answer"
            assert memory.recall(name) == charge


def test_a_charge_whose_refunds_fail_allows_none(either_world: Platform) -> None:
    memory = SandboxChargeRepository(either_world.store)
    memory.remember(a_charge(*TAKEN, refunds_fail=True), token=fresh())
    assert memory.operate(an_operation("txn_1", 1), "refund", token=fresh()) is None
    assert memory.operate(an_operation("txn_2", 1), "refund", token=fresh()) is None


def test_an_unknown_charge_allows_nothing(either_world: Platform) -> None:
    memory = SandboxChargeRepository(either_world.store)
    effects: tuple[Effect, ...] = ("capture", "final_capture", "refund", "void")
    for effect in effects:
        assert memory.operate(an_operation(f"txn_{effect}", 1), effect, token=fresh()) is None
    assert either_world.rows(SandboxCharge) == []


def test_concurrent_operations_never_exceed_the_sandboxs_limit(either_world: Platform) -> None:
    memory = SandboxChargeRepository(either_world.store)
    memory.remember(a_charge(*TAKEN), token=fresh())
    wanted = [an_operation(f"txn_{n % 12}", 10) for n in range(36)]
    done = at_once(*[lambda w=w: memory.operate(w, "refund", token=fresh()) for w in wanted])
    assert not [each for each in done if isinstance(each, Exception)]
    names = Counter(each.reference for each in done if isinstance(each, SandboxCharge))
    assert len(names) == 10
    charge = memory.recall("pay_1")
    assert charge is not None
    assert charge.refundable == 0


def test_a_list_grows_by_one_member_up_to_its_limit(either_world: Platform) -> None:
    either_world.paid(either_world.merchant())
    payment = either_world.payment()
    key = {"id": payment.id}
    for name in ("one", "two"):
        longer = update(Payment, key).append(transaction_ids=name)
        either_world.store.transact([longer.when(shorter("transaction_ids", 3))], token=fresh())
    with pytest.raises(TransactionRefused):
        either_world.store.transact([longer.when(shorter("transaction_ids", 3))], token=fresh())
    assert either_world.payment().transaction_ids == (*payment.transaction_ids, "one", "two")
