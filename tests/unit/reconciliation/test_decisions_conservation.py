"""Files, facts and resolutions in any order: the ledger always agrees with the lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.core.errors import PlatformError
from runtime.payments.transaction_models import TransactionStatus, TransactionType
from runtime.reconciliation.exceptions.rules import actions_for
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.deltas import is_open_exception
from runtime.reconciliation.settlements.models import LineStatus, LineType, ResolutionAction
from runtime.verification.payments.rules import PaymentFacts, TransactionFacts, totals_that_differ
from runtime.verification.settlements.rules import (
    LineFacts,
    line_contradictions,
    settled_nets,
    settling,
)
from tests.support.reconciliation.batches import read_line
from tests.support.reconciliation.books import SettlementBooks

PARTS: tuple[tuple[int, ...], ...] = ((), (600,), (500, 300))
CHARGED = 1000


class History:
    """One merchant, its facts, and the lines that a processor could report."""

    def __init__(self, draw: st.DataObject) -> None:
        self.pick = draw
        self.books = SettlementBooks(tolerance=self.any_of((0, 30)))
        self.truth: dict[str, ImportedLine] = {}
        self.refunds: list[str] = []
        self.files = 0
        self.returned: set[str] = set()
        self.disputed: dict[str, int] = {}
        self.payments = [self.pay() for _ in range(self.any_of((1, 2)))]

    def any_of(self, options: Any) -> Any:
        return self.pick.draw(st.sampled_from(options))

    # ------------------------------------------------------------ facts

    def pay(self) -> str:
        fee = self.any_of((0, 29))
        parts = self.any_of(PARTS)
        payment_id = self.books.pay(CHARGED, parts, fee)
        captured = sum(parts) or CHARGED
        fees = fee * max(1, len(parts))
        if parts and self.any_of((True, False)):
            self.write(payment_id, LineType.CAPTURE, CHARGED, fees + 10)
            self.write(payment_id, LineType.CAPTURE, captured - CHARGED, -10)
        elif parts:
            for each in self.books.found.payments[payment_id].transaction_ids[1:]:
                amount = self.books.found.transactions[each].amount
                self.write(payment_id, LineType.CAPTURE, amount, fee, each)
        else:
            self.write(payment_id, LineType.CAPTURE, CHARGED, fees or self.any_of((0, 20)))
        return payment_id

    def refund(self) -> None:
        payment_id = self.any_of(self.payments)
        name = self.books.refund(payment_id, 100)
        self.refunds.append(name)
        self.write(
            payment_id, LineType.REFUND, -100, self.any_of((0, 3)), self.any_of((name, None))
        )

    def come_back(self) -> None:
        waiting = [each for each in self.refunds if each not in self.returned]
        if not waiting:
            return
        name = self.any_of(waiting)
        self.returned.add(name)
        self.books.come_back(name)
        payment_id = self.books.found.transactions[name].payment_id
        self.write(payment_id, LineType.REFUND_FAILURE, 100, 0, self.any_of((name, None)))

    def dispute(self) -> None:
        payment_id = self.any_of(self.payments)
        step = self.disputed.get(payment_id, 0)
        self.disputed[payment_id] = step + 1
        fee = self.any_of((0, 15))
        if step == 0:
            self.books.dispute(payment_id, f"dp_{payment_id}", amount=300, withdrawn=300, fee=fee)
            self.write(payment_id, LineType.DISPUTE, -300, 15)
        elif step == 1:
            self.books.dispute(
                payment_id, f"dp_{payment_id}", amount=300, withdrawn=300, returned=300
            )
            self.write(payment_id, LineType.DISPUTE_REVERSAL, 300, self.any_of((0, -15)))

    def write(
        self,
        payment_id: str,
        kind: LineType,
        amount: int,
        fee: int,
        transaction_id: str | None = None,
    ) -> None:
        identity = f"line_{len(self.truth)}"
        self.truth[identity] = read_line(
            len(self.truth) + 2,
            identity=identity,
            type=kind,
            amount=amount,
            fee=fee,
            references=References(payment_id=payment_id, transaction_id=transaction_id),
        )

    # ------------------------------------------------------------ files and resolutions

    def damaged(self, line: ImportedLine) -> ImportedLine:
        how = self.any_of(("", "", "amount", "fee", "currency", "status", "type", "none", "abroad"))
        if how == "amount":
            amount = line.amount + self.any_of((-100, -20, 20, 100))
            return replace(line, amount=amount, net=amount - line.fee)
        if how == "fee":
            fee = line.fee + self.any_of((-20, 7))
            return replace(line, fee=fee, net=line.amount - fee)
        if how == "currency":
            return replace(line, currency="EUR")
        if how == "status":
            return replace(line, status="pending")
        if how == "type":
            return replace(line, type=None)
        if how == "none":
            return replace(line, references=References())
        if how == "abroad":
            return replace(
                line,
                currency="EUR",
                presented_amount=line.amount,
                presented_currency="USD",
            )
        return line

    def file(self) -> None:
        names = self.pick.draw(st.lists(st.sampled_from(sorted(self.truth)), unique=True))
        lines = [self.damaged(self.truth[name]) for name in names]
        self.settle(lines)
        if self.any_of((False, False, True)):
            self.settle(lines)
            self.settle(lines)  # one of its lines may have been left open until another is settled
            before = self.state()
            self.settle(lines)
            assert self.state() == before

    def settle(self, lines: list[ImportedLine]) -> None:
        self.files += 1
        self.books.settle(f"fil_{self.files:03d}", lines)

    def decide(self) -> None:
        rows = [row for row in self.books.lines() if is_open_exception(row)]
        if not rows:
            return
        row = self.any_of(rows)
        action = self.any_of(actions_for(row))
        before = self.state()
        linked = None
        if action is ResolutionAction.LINK:
            linked = self.any_of(sorted(self.books.found.transactions))
        try:
            self.books.decide(row.identity or "", action, linked)
        except PlatformError:
            assert self.state() == before
            return
        self.must_agree()
        if self.any_of((True, False)):
            self.books.decide(row.identity or "", "undo")
            assert self.state() == before

    def undo(self) -> None:
        rows = [
            row
            for row in self.books.lines()
            if row.resolution is not None and row.status is not LineStatus.SUPERSEDED
        ]
        if rows:
            self.books.decide(self.any_of(rows).identity or "", "undo")

    # ------------------------------------------------------------ invariants

    def state(self) -> Any:
        found = self.books.found
        return (
            self.books.unsettled(),
            {
                each.id: (each.status, each.settlement_id, each.fee, each.learned_fee)
                for each in found.transactions.values()
            },
            {each.id: (each.fee, each.disputes) for each in found.payments.values()},
            {key: (line.status, line.type) for key, line in found.lines.items()},
        )

    def must_agree(self) -> None:
        self.books.deltas_must_add_up()
        lines = [LineFacts(**line.model_dump()) for line in self.books.lines()]
        for line in lines:
            assert not list(line_contradictions(line)), line
        settling_lines = {
            (line.settlement_id, line.line)
            for line in self.books.lines()
            if line.status is LineStatus.MATCHED or line.resolution is not None
        }
        for payment in self.books.found.payments.values():
            facts = PaymentFacts(**payment.model_dump())
            rows = [self.books.found.transactions[each] for each in payment.transaction_ids]
            for row in rows:
                if row.settlement_id is not None:
                    assert (row.settlement_id, row.settlement_line) in settling_lines
                    assert row.type is not TransactionType.AUTHORIZATION
                    assert row.status in (TransactionStatus.SETTLED, TransactionStatus.FAILED)
            transactions = [TransactionFacts(**row.model_dump()) for row in rows]
            wrong = totals_that_differ(facts, transactions)
            assert not [each for each in wrong if each[0] == "fee"], wrong
            bookings = Counter[str]()
            for line in lines:
                if line.payment_id == payment.id:
                    bookings.update(settling(line, line.bookings))
            booked = {account: net for account, net in bookings.items() if net}
            assert booked == settled_nets(facts, transactions)
            for dispute in (payment.disputes or {}).values():
                assert 0 <= dispute.settled_withdrawn <= dispute.withdrawn
                assert 0 <= dispute.settled_returned <= dispute.returned


STEPS = ("file", "file", "file", "decide", "decide", "undo", "refund", "come_back", "dispute")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_after_every_file_fact_and_resolution_the_ledger_agrees_with_the_lines(
    draw: st.DataObject,
) -> None:
    simulation = History(draw)
    for step in draw.draw(st.lists(st.sampled_from(STEPS), min_size=4, max_size=14)):
        getattr(simulation, step)()
        simulation.must_agree()
