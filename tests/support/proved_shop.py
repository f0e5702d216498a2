"""A merchant with payments of every kind, and the verification of its ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from runtime.ledger.booking import FactPosting
from runtime.ledger.rules import dispute_legs, total_of
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.merchants.models import MerchantProfile
from runtime.payments.disputes.rules import changes_after, dispute_step, next_posting_id
from runtime.payments.models import DisputeStatus, Payment
from runtime.payments.posting_ids import POSTING_OPERATION
from runtime.payments.processors.events import DisputeState
from runtime.payments.transaction_models import Transaction, TransactionStatus
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies, Phase
from tests.support.ledger_changes import ChangedTables
from tests.support.platform import SETUP, Platform

CUT = timedelta(seconds=30)
CHECKS = ("payment_totals", "payment_ceilings", "payment_postings", "settlement_postings")
Found = dict[str, list[tuple[str, Any, Any]]]


@dataclass
class Shop:
    """A merchant with payments of every kind, and the verification of its ledger."""

    platform: Platform
    phases: list[Phase] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.merchant: MerchantProfile = self.platform.merchant()
        self.changes = ChangedTables(self.platform)

    def verify_ledger(
        self, cut: timedelta = CUT, *, page: int = 5, kind: RunKind = RunKind.FULL
    ) -> Found:
        """Violations of the checks of payments and settlements, by check."""
        deps = LedgerVerificationDependencies(
            verifications=VerificationRepository(self.platform.store),
            books=VerificationReads(self.platform.store, segments=2, scan_page=page),
            changes=self.changes,
            checkpoints=Checkpoints(self.platform.store),
            outside=replace(self.platform.outside, sleep=self.platform.clock.advance),
            must_stop=lambda: False,
            cut=cut,
            grace_seconds=1.0,
            progress=lambda phase, _rows: self.phases.append(phase),
        )
        report = verify_ledger(deps, kind=kind).report
        assert report is not None
        assert report.kind is kind
        return {
            check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
            for check in report.checks
            if check.name.value in CHECKS and not check.holds
        }

    def trade(self) -> None:
        """A sale, one refunded in part, one captured in parts, one voided, one declined."""
        self.paid(amount=900)
        self.operate(self.paid(amount=5_000), "refund", amount=1_200)
        parts = self.paid(amount=3_000, capture_method="manual")
        self.operate(parts, "capture", amount=800, final=False)
        self.operate(parts, "capture", amount=700)
        self.operate(self.paid(amount=40, capture_method="manual"), "cancel")
        self.paid(amount=60, capture_method="manual")
        self.platform.pay(self.merchant, payment_method="tok_declined")
        self.pass_the_cut()

    def pass_the_cut(self) -> None:
        self.platform.clock.advance(2 * CUT.total_seconds())

    def paid(self, **body: Any) -> str:
        return self.platform.paid(self.merchant, **body)

    def operate(self, payment_id: str, what: str, **body: Any) -> None:
        assert self.platform.operate(self.merchant, payment_id, what, **body).status == 200

    def payment(self, payment_id: str) -> Payment:
        (row,) = (each for each in self.platform.payments() if each.id == payment_id)
        return row

    def transactions(self, kind: str) -> list[Transaction]:
        """Those that succeeded, oldest first."""
        rows = [row for row in self.platform.rows(Transaction) if row.type == kind]
        done = (row for row in rows if row.status is TransactionStatus.SUCCEEDED)
        return sorted(done, key=lambda row: row.id)

    def posting_of(self, transaction: Transaction) -> Transfer:
        name = f"trf_{transaction.id[4:]}"
        (row,) = (each for each in self.platform.rows(Transfer) if each.id == name)
        return row

    def post(self, payment: Payment, identifier: str, legs: tuple[Leg, ...]) -> str:
        """A posting like one written by a service."""
        now = self.platform.clock()
        operation_id = self.platform.outside.new_id(POSTING_OPERATION, now)
        posting = FactPosting(
            identifier, operation_id, payment.currency, legs, total_of(legs), payment.id
        )
        self.platform.put(posting.transfer(self.merchant, now, SETUP))
        return identifier

    def disputed(self, payment_id: str, *, returned: int = 0) -> None:
        """600 of the payment are charged back, with a fee of 15; `returned` is reinstated."""
        opened = DisputeState("dp_1", DisputeStatus.OPENED, self.platform.clock(), "USD", 600, 600)
        opened = replace(opened, fee_minor=15)
        won = replace(opened, status=DisputeStatus.WON, reinstated_minor=returned)
        for state in (opened, won) if returned else (opened,):
            payment = self.payment(payment_id)
            step = dispute_step(payment, state)
            assert step is not None
            legs = dispute_legs(self.merchant.id, "USD", step.taken_minor, step.fee_minor)
            posting_id = next_posting_id(payment_id, state.id, step.dispute)
            step = step.booked_by(self.post(payment, posting_id, legs))
            self.platform.put(payment.model_copy(update=changes_after(payment, state.id, step)))
