"""Refunds that were paid out must be settled by their lines, unless their exception is resolved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runtime.reconciliation.settlements.models import LineType
from simulation.watch.settled.refund_lines import refund_line_faults
from simulation.watch.settled.rows import Rows


def faults(
    refund: dict[str, Any], *lines: dict[str, Any], kind: Any = LineType.REFUND
) -> list[str]:
    rows = Rows(
        {
            "transactions": {("txn_1",): refund},
            "settlement_lines": dict(enumerate(lines)),
        }
    )
    movement = SimpleNamespace(kind=kind, payment_id="pay_1", transaction_id="txn_1")
    return list(refund_line_faults(rows, [SimpleNamespace(reference="po_1", movements=[movement])]))


def refund_after(*statuses: str, **more: Any) -> dict[str, Any]:
    return {"audit_trail": {"L": [{"M": {"status": {"S": each}}} for each in statuses]}, **more}


def test_an_unsettled_refund_is_found() -> None:
    assert faults(refund_after("pending", "succeeded")) == [
        "txn_1 is a line of po_1, and unsettled"
    ]


def test_a_failed_refund_must_be_settled_too() -> None:
    assert faults(refund_after("pending", "succeeded", "failed"))


@pytest.mark.parametrize(
    "refund",
    [
        refund_after("pending", "failed"),
        refund_after("pending", "succeeded", settlement_id={"S": "set_1"}),
    ],
)
def test_an_unbooked_or_settled_refund_is_correct(refund: dict[str, Any]) -> None:
    assert faults(refund) == []


def test_a_resolved_line_is_correct() -> None:
    line = {"payment_id": {"S": "pay_1"}, "resolution": {"M": {}}}
    assert faults(refund_after("pending", "succeeded"), line) == []


def test_other_movements_are_ignored() -> None:
    assert faults(refund_after("pending", "succeeded"), kind=LineType.REFUND_FAILURE) == []
