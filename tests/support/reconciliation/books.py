"""Settling lines in memory: the rows of one merchant and its bookings, without DynamoDB."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.core.change_context import ChangeContext
from runtime.core.timestamps import to_timestamp
from runtime.ledger.rules import capture_legs, dispute_legs, refund_legs, reversal_legs
from runtime.ledger.transfers.models import Leg
from runtime.merchants.models import MerchantProfile, ReconciliationTerms
from runtime.payments.disputes.rules import changes_after, dispute_step, next_posting_id
from runtime.payments.models import DisputeStatus, Payment, PaymentStatus
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.processors.events import DisputeState
from runtime.payments.transaction_models import (
    AuditStep,
    Transaction,
    TransactionStatus,
    TransactionType,
)
from runtime.reconciliation.exceptions.decisions import DecisionRequest, decide
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.matching.draft import Attempt, Draft, LoadedRows
from runtime.reconciliation.matching.identities import settlement_id
from runtime.reconciliation.matching.posting import writes_of
from runtime.reconciliation.matching.recording import LinePlacement, judge
from runtime.reconciliation.settlements.deltas import by_settlement, of_line
from runtime.reconciliation.settlements.models import (
    Settlement,
    SettlementDelta,
    SettlementFormat,
    SettlementLine,
    SettlementStatus,
)
from tests.support.outside import OUTSIDE, new_id

START = datetime(2026, 3, 15, 12, tzinfo=UTC)
CONTEXT = ChangeContext(changed_by="reconcile", request_id="message", cause="bat_1")
_STAMP: dict[str, Any] = {
    "created_at": to_timestamp(START),
    "updated_at": to_timestamp(START),
    **CONTEXT.stamp(),
}


class SettlementBooks:
    """One merchant's payments, settlements and accounts."""

    def __init__(self, tolerance: int = 0) -> None:
        self.merchant = MerchantProfile(
            id="mer_1",
            merchant_id="mer_1",
            email="shop@example.com",
            name="Shop",
            processor="sandbox",
            reconciliation=ReconciliationTerms(tolerance_minor=tolerance),
            **_STAMP,
        )
        self.now = START
        self.found = LoadedRows()
        self.balances: Counter[str] = Counter()
        self.deltas: list[dict[str, SettlementDelta]] = []
        self.layout = SettlementFormat.STRIPE
        self.file_name = "payouts.csv"
        self.duplicates: frozenset[int] = frozenset()

    # ------------------------------------------------------------ facts

    def pay(
        self, amount: int, parts: Sequence[int] = (), fee: int = 0, currency: str = "USD"
    ) -> str:
        """Id of a payment: captured at once, or in `parts`, each of them with the fee."""
        self.now += timedelta(seconds=1)
        payment_id = new_id("pay", self.now)
        charge_id = charge_transaction_id(payment_id)
        payment = Payment(
            id=payment_id,
            merchant_id=self.merchant.id,
            merchant_bucket=self.merchant.id,
            status=PaymentStatus.SUCCEEDED,
            amount=amount,
            currency=currency,
            payment_method="tok",
            processor="sandbox",
            charge_id=f"pi_{payment_id}",
            **_STAMP,
        )
        self.found.payments[payment_id] = payment
        if parts:
            self._transact(payment, charge_id, TransactionType.AUTHORIZATION, amount)
        for number, part in enumerate(parts):
            name = f"{charge_id}.{number}"
            self._transact(payment, name, TransactionType.CAPTURE, part, fee)
        if not parts:
            self._transact(payment, charge_id, TransactionType.CAPTURE, amount, fee)
        return payment_id

    def refund(self, payment_id: str, amount: int, *, came_back: bool = False) -> str:
        """Id of a refund; a `returned` one failed after it had succeeded."""
        payment = self.found.payments[payment_id]
        name = f"txn_refund_{len(self.found.transactions)}"
        self._transact(payment, name, TransactionType.REFUND, amount)
        if came_back:
            self.come_back(name)
        return name

    def come_back(self, refund_id: str) -> None:
        """The refund fails after it had succeeded."""
        refund = self.found.transactions[refund_id]
        step = AuditStep(status=TransactionStatus.FAILED, at=to_timestamp(self.now), by="x")
        self.found.transactions[refund_id] = refund.model_copy(
            update={
                "status": TransactionStatus.FAILED,
                "audit_trail": (*refund.audit_trail, step),
                "version": refund.version + 1,
            }
        )
        self.book(reversal_legs(self.merchant.id, refund.currency, refund.amount))

    def dispute(
        self,
        payment_id: str,
        dispute_id: str,
        *,
        amount: int,
        withdrawn: int,
        returned: int = 0,
        fee: int = 0,
    ) -> None:
        """The processor's state of a dispute, booked."""
        payment = self.found.payments[payment_id]
        status = DisputeStatus.WON if returned else DisputeStatus.OPENED
        state = DisputeState(dispute_id, status, self.now, payment.currency, amount, withdrawn)
        state = state.__class__(
            **{
                **{name: getattr(state, name) for name in state.__dataclass_fields__},
                "reinstated_minor": returned,
                "fee_minor": fee,
            }
        )
        step = dispute_step(payment, state)
        if step is None:
            return
        legs = dispute_legs(self.merchant.id, payment.currency, step.taken_minor, step.fee_minor)
        if legs:
            self.book(legs)
            step = step.booked_by(next_posting_id(payment_id, dispute_id, step.dispute))
        changes = changes_after(payment, dispute_id, step)
        self.found.payments[payment_id] = payment.model_copy(update=changes)

    def _transact(
        self, payment: Payment, name: str, kind: TransactionType, amount: int, fee: int = 0
    ) -> None:
        at = to_timestamp(self.now)
        self.found.transactions[name] = Transaction(
            id=name,
            merchant_id=self.merchant.id,
            payment_id=payment.id,
            processor_id=f"pi_{payment.id}" if kind is not TransactionType.REFUND else f"re_{name}",
            type=kind,
            amount=amount,
            fee=fee,
            currency=payment.currency,
            status=TransactionStatus.SUCCEEDED,
            processed_at=at,
            audit_trail=(AuditStep(status=TransactionStatus.SUCCEEDED, at=at, by="x"),),
            **_STAMP,
        )
        before = self.found.payments[payment.id]
        self.found.payments[payment.id] = before.model_copy(
            update={
                "transaction_ids": (*before.transaction_ids, name),
                "fee": before.fee + fee,
                "amount_captured": before.amount_captured
                + (amount if kind is TransactionType.CAPTURE else 0),
            }
        )
        if kind is TransactionType.CAPTURE:
            self.book(capture_legs(self.merchant.id, payment.currency, amount, fee))
        elif kind is TransactionType.REFUND:
            self.book(refund_legs(self.merchant.id, payment.currency, amount))

    def book(self, legs: Sequence[Leg]) -> None:
        for leg in legs:
            self.balances[leg.from_account_id] -= leg.amount
            self.balances[leg.to_account_id] += leg.amount

    # ------------------------------------------------------------ files

    def place(self, payout: str | None, file_id: str) -> LinePlacement:
        """The settlement of a payout's lines."""
        identifier, by_name = (
            settlement_id(self.merchant.id, self.layout, name, self.file_name)
            for name in (payout, None)
        )
        known = self.found.settlements.get(identifier)
        if known is None:
            known = Settlement(
                id=identifier,
                merchant_id=self.merchant.id,
                date="2026-03-15",
                status=SettlementStatus.PROCESSING,
                format=self.layout,
                source=self.file_name,
                sha256="",
                file_ids=(),
                **_STAMP,
            )
        if file_id not in known.file_ids:
            files = (*known.file_ids, file_id)
            known = known.model_copy(update={"file_ids": files, "version": known.version + 1})
        self.found.settlements[identifier] = known
        return LinePlacement(known, by_name, file_id, self.layout, self.duplicates)

    def settle(self, file_id: str, lines: Sequence[ImportedLine | UnreadableLine]) -> None:
        """One batch of a file, written as its commit would be."""
        self.now += timedelta(seconds=1)
        places = [self.place(line.payout_reference, file_id) for line in lines]
        self.found.about = {}
        for key, row in sorted(self.found.lines.items()):
            if row.transaction_id is not None:
                keys = self.found.about.get(row.transaction_id, ())
                self.found.about[row.transaction_id] = (*keys, key)
        draft = Draft(self.found, Attempt(self.merchant, CONTEXT, self.now, OUTSIDE))
        for processor_id, ids in self._by_processor().items():
            self.found.by_processor[processor_id] = ids
        for line, place in zip(lines, places, strict=True):
            draft = draft.copy()
            judge(line, place, draft)
        self._write(draft)

    def decide(self, identity: str, action: str, transaction_id: str | None = None) -> None:
        """The resolution of a line by its identity, written as its commit would be."""
        self.now += timedelta(seconds=1)
        draft = Draft(self.found, Attempt(self.merchant, CONTEXT, self.now, OUTSIDE))
        decide(self.line(identity), DecisionRequest(action, "as agreed", transaction_id), draft)
        self._write(draft)

    def _write(self, draft: Draft) -> None:
        writes = writes_of(draft, "cause")
        for before, line in writes.lines:
            key = (line.settlement_id, line.line)
            assert self.found.lines.get(key) == before
            self.found.lines[key] = line
        for _, identity in writes.identities:
            self.found.identities[identity.id] = identity
        for _, transaction in writes.transactions:
            self.found.transactions[transaction.id] = transaction
        for _, payment in writes.payments:
            self.found.payments[payment.id] = payment
        for transfer in writes.transfers:
            self.book(transfer.legs)
        self.deltas.append(dict(writes.deltas))

    def _by_processor(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for row in self.found.transactions.values():
            if row.processor_id is not None:
                found[row.processor_id] = (*found.get(row.processor_id, ()), row.id)
        return found

    # ------------------------------------------------------------ expected state

    def lines(self) -> list[SettlementLine]:
        """All lines, by settlement and number."""
        return [line for _, line in sorted(self.found.lines.items())]

    def line(self, identity: str) -> SettlementLine:
        """The line of an identity that is not superseded."""
        (only,) = (
            each
            for each in self.lines()
            if each.identity == identity and each.status != "superseded"
        )
        return only

    def unsettled(self) -> dict[str, int]:
        """Balances of clearing, fees and receivable."""
        return {name: left for name, left in self.balances.items() if left}

    def deltas_must_add_up(self) -> None:
        """The counts of the batches match the lines."""
        counted = by_settlement(self.deltas)
        right = by_settlement([{line.settlement_id: of_line(line)} for line in self.lines()])
        for identifier, delta in counted.items():
            assert _sums(delta) == _sums(right.get(identifier, SettlementDelta()))

    def bookings_must_fit(self) -> None:
        """A matched line has booked its net and fee; what is open or superseded, nothing."""
        for line in self.lines():
            if line.resolution is not None:
                continue
            nets: Counter[str] = Counter()
            for booking in line.bookings:
                for name, amount in booking.flows:
                    nets[booking.currency, name] += amount
            left = {name: amount for name, amount in nets.items() if amount}
            if line.status != "matched" or line.type == "payout":
                assert not left, line
            elif line.presented_currency in (None, line.currency) and line.file_id is not None:
                assert line.currency is not None
                assert nets[line.currency, "net"] == line.net
                assert nets[line.currency, "fee"] == (
                    -(line.net or 0) if line.type == "fee" else line.fee
                )


def _sums(delta: SettlementDelta) -> Any:
    return (
        {k: v for k, v in delta.counts.items() if v},
        delta.open_exceptions,
        delta.totals,
        {k: v for k, v in delta.by_type.items() if v},
        {k: v for k, v in delta.payout.items() if v},
    )
