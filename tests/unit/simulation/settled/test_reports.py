"""Reports of processors: at rest each is right, also one that got errors after a correction."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import pytest

from runtime.reconciliation.settlements.models import LineType
from simulation.partners.acquirer import Acquirer, Payout
from simulation.partners.movements import Movement, SandboxMovements
from simulation.partners.stripe_server import StripeServer

SHOP = SimpleNamespace(id="mer_1", processor="sandbox")


class Bank:
    """An acquirer with one payout of ten refunds, and the reports that it has uploaded."""

    def __init__(self) -> None:
        self.uploaded: list[tuple[str, bytes]] = []
        refunds = [
            Movement(f"refund-{n}", 0.0, LineType.REFUND, -100, 0, "USD", "pay_1", f"txn_{n}")
            for n in range(10)
        ]
        sandbox = SandboxMovements({SHOP.id: refunds})
        stripe = StripeServer(lambda: 0.0, 0.0, Random(0), lambda _account, _event: None)
        self.acquirer = Acquirer(
            sandbox, stripe, lambda: 1.0, lambda key, body: self.uploaded.append((key, body))
        )
        payout = self.acquirer.pay_out(SHOP, Random(0))
        assert payout is not None
        self.payout: Payout = payout


@pytest.fixture
def bank() -> Bank:
    return Bank()


def test_each_payout_gets_a_right_report_once(bank: Bank) -> None:
    bank.acquirer.correct_all()
    bank.acquirer.report(bank.payout)  # a right one again changes nothing
    bank.acquirer.correct_all()
    right = bank.acquirer.report(bank.payout)
    assert bank.uploaded == [("reconciliation/mer_1/po_000001.csv", right)]


def test_a_corrected_report_that_gets_errors_is_corrected_again(bank: Bank) -> None:
    bank.acquirer.correct_all()
    right = bank.acquirer.report(bank.payout)
    wrong = bank.acquirer.report(bank.payout, Random(0))
    assert wrong != right
    bank.acquirer.correct_all()
    assert [body for _, body in bank.uploaded] == [right, right]
