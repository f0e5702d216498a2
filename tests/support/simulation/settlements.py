"""A shop, and its processor's payouts and settlement files.

The processor keeps its own list of movements, so that the ledger is checked against it and not
against what the lines were matched with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from runtime.core.timestamps import to_timestamp
from runtime.ledger.rules import clearing_account, dispute_legs, fees_account, reversal_legs
from runtime.payments.disputes.rules import changes_after, dispute_step, next_posting_id
from runtime.payments.models import DisputeStatus
from runtime.payments.posting_ids import returned_refund_posting_id
from runtime.payments.processors.events import DisputeState
from runtime.payments.transaction_models import AuditStep, Transaction, TransactionStatus
from runtime.reconciliation.exceptions.rules import actions_for
from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.importers.stripe import TYPES
from runtime.reconciliation.settlements.models import ResolutionAction, SettlementLine
from simulation.platform.reports import STRIPE_HEADER, stripe, table
from tests.support.proved_shop import Shop
from tests.support.reconciliation.decisions import Decisions
from tests.support.reconciliation.fakes import object_created
from tests.support.reconciliation.reconciler import Reconciler

DISPUTE_FEE = 15


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement as the processor will report it; `known_fee` is the fee reported before."""

    line: ImportedLine
    known_fee: int = 0


@dataclass
class Payout:
    """Movements that were paid out together, and lines without a payment."""

    reference: str
    movements: list[Movement]
    extra: list[ImportedLine]

    @property
    def lines(self) -> list[ImportedLine]:
        """All its lines, the payout itself last."""
        lines = [*(each.line for each in self.movements), *self.extra]
        paid = -sum(line.net for line in lines)
        lines.append(
            reported(f"bt_{self.reference}", "payout", amount=paid, currency=lines[0].currency)
        )
        return [replace(line, payout_reference=self.reference) for line in lines]


def reported(identity: str, category: str, *, amount: int, fee: int = 0, **of: Any) -> ImportedLine:
    """A line in Stripe's report. `of`: currency and references."""
    return ImportedLine(
        number=0,
        identity=identity,
        type=TYPES[category],
        category=category,
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=of.get("currency", "USD"),
        references=References(
            payment_id=of.get("payment_id"),
            transaction_id=of.get("transaction_id"),
            processor_ids=of.get("processor_ids", ()),
        ),
        processed_date="2026-03-14",
        settlement_date="2026-03-16",
    )


@dataclass
class SettlementSimulation:
    """A shop with a processor; everything random is drawn from `dice`."""

    shop: Shop
    dice: Random
    waiting: list[Movement] = field(default_factory=list)
    payouts: list[Payout] = field(default_factory=list)
    returned: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.shop.platform)
        self.decisions = Decisions(self.shop.platform, self.shop.merchant)

    # ---------------------------------------------------------------- payments

    def trade(self, times: int, *, calm: bool = False) -> None:
        """Payments of every kind, refunds that fail later, disputes won and lost.

        `calm`: only commits of services; rows that the simulation writes itself are separate.
        """
        kinds = [self.sale, self.sale, self.parts, self.refund]
        for _ in range(times):
            step = self.dice.choice(kinds if calm else [*kinds, self.refund_failure, self.dispute])
            step()
            self.seen[step.__name__] += 1

    def sale(self) -> None:
        """A payment that is captured at once."""
        payment_id = self.shop.paid(amount=self.dice.randrange(1_000, 9_000))
        self._charged(self._done("capture", payment_id))

    def parts(self) -> None:
        """An authorization that is captured in part: once, or twice."""
        amount = self.dice.randrange(2_000, 9_000)
        payment_id = self.shop.paid(amount=amount, capture_method="manual")
        first = self.dice.randrange(1, amount // 2)
        twice = self.dice.random() < 0.5
        self.shop.operate(payment_id, "capture", amount=first, final=not twice)
        if twice:
            second = self.dice.randrange(1, amount - first)
            self.shop.operate(payment_id, "capture", amount=second)
            for capture in self._done("capture", payment_id):
                self._charged([capture])
            return
        # A processor reports the whole charge, and reverses what was not captured.
        (capture,) = self._done("capture", payment_id)
        fee = self._fee(capture)
        back = self.dice.randrange(0, amount - first)
        whole = {"amount": amount, "fee": fee + back}
        rest = {"amount": capture.amount - amount, "fee": -back}
        self.moved("charge", payment_id, known_fee=capture.fee, **whole)
        self.moved("partial_capture_reversal", payment_id, **rest)

    def refund(self) -> None:
        """A partial refund of a payment."""
        payment_id = self._refundable()
        if payment_id is None:
            return self.sale()
        left = self.shop.payment(payment_id).refundable_minor
        amount = self.dice.choice([left, self.dice.randrange(1, left + 1)])
        before = {each.id for each in self._done("refund", payment_id)}
        self.shop.operate(payment_id, "refund", amount=amount)
        (refund,) = (each for each in self._done("refund", payment_id) if each.id not in before)
        self.moved("refund", payment_id, transaction_id=refund.id, amount=-amount)
        return None

    def refund_failure(self) -> None:
        """A refund fails later, whether or not it was paid out."""
        done = (TransactionStatus.SUCCEEDED, TransactionStatus.SETTLED)
        refunds = [each for each in self._rows("refund") if each.status in done]
        if not refunds:
            return self.refund()
        refund, platform = self.dice.choice(refunds), self.shop.platform
        payment = self.shop.payment(refund.payment_id)
        legs = reversal_legs(self.shop.merchant.id, "USD", refund.amount)
        self.shop.post(payment, returned_refund_posting_id(refund.id), legs)
        step = AuditStep(status="failed", at=to_timestamp(platform.clock()), by="x")
        failed = {"status": "failed", "audit_trail": (*refund.audit_trail, step)}
        platform.put(refund.model_copy(update={**failed, "unsettled_bucket": None}))
        back = {
            "amount_refunded": payment.amount_refunded - refund.amount,
            "refundable_minor": payment.refundable_minor + refund.amount,
        }
        platform.put(payment.model_copy(update=back))
        self.returned.add(payment.id)
        named = {"transaction_id": refund.id, "amount": refund.amount}
        self.moved("refund_failure", payment.id, **named)
        return None

    def dispute(self) -> None:
        """A bank charges back some of a payment, for a fee; half of the time it is reinstated."""
        payment_id = self._refundable()
        if payment_id is None:
            return self.sale()
        payment = self.shop.payment(payment_id)
        amount = self.dice.randrange(1, payment.amount_captured + 1)
        dispute_id, now = self._name("du"), self.shop.platform.clock()
        opened = DisputeState(dispute_id, DisputeStatus.OPENED, now, "USD", amount, amount)
        self._dispute_step(payment_id, replace(opened, fee_minor=DISPUTE_FEE))
        named = {"processor_ids": (dispute_id,), "known_fee": DISPUTE_FEE}
        self.moved("dispute", payment_id, amount=-amount, fee=DISPUTE_FEE, **named)
        if self.dice.random() < 0.5:
            won = replace(opened, status=DisputeStatus.WON, reinstated_minor=amount)
            self._dispute_step(payment_id, replace(won, fee_minor=DISPUTE_FEE))
            named = {"processor_ids": (dispute_id,)}
            self.moved("dispute_reversal", payment_id, amount=amount, **named)
        return None

    def _dispute_step(self, payment_id: str, state: DisputeState) -> None:
        payment = self.shop.payment(payment_id)
        step = dispute_step(payment, state)
        assert step is not None
        legs = dispute_legs(self.shop.merchant.id, "USD", step.taken_minor, step.fee_minor)
        posting_id = next_posting_id(payment_id, state.id, step.dispute)
        step = step.booked_by(self.shop.post(payment, posting_id, legs))
        changes = changes_after(payment, state.id, step)
        self.shop.platform.put(payment.model_copy(update=changes))

    def _charged(self, captures: Sequence[Transaction]) -> None:
        for each in captures:
            said = {"amount": each.amount, "fee": self._fee(each)}
            self.moved("charge", each.payment_id, known_fee=each.fee, **said)

    def _fee(self, capture: Transaction) -> int:
        """The processor's fee: as it reported before, or as learned from the file."""
        return capture.fee or self.dice.randrange(0, capture.amount // 10 + 1)

    def moved(self, category: str, payment_id: str, *, known_fee: int = 0, **of: Any) -> None:
        """A movement of a payment at the processor. `of`: as for `reported`."""
        line = reported(self._name("bt"), category, payment_id=payment_id, **of)
        self.waiting.append(Movement(line, known_fee))

    def _rows(self, kind: str) -> list[Transaction]:
        rows = [row for row in self.shop.platform.rows(Transaction) if row.type == kind]
        return sorted(rows, key=lambda row: row.id)

    def _done(self, kind: str, payment_id: str) -> list[Transaction]:
        return [row for row in self._rows(kind) if row.payment_id == payment_id]

    def _refundable(self) -> str | None:
        """A payment with a refundable amount and without a dispute."""
        payments = [
            each.id
            for each in self.shop.platform.payments()
            if each.refundable_minor
            and each.capturable_minor == 0
            and not each.disputes
            # The sandbox does not know of failed refunds, and refunds no more than it has.
            and each.id not in self.returned
        ]
        return self.dice.choice(payments) if payments else None

    def _name(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}_{self._numbers}"

    # ---------------------------------------------------------------- payouts and files

    def pay_out(self, *, everything: bool = False) -> Payout:
        """Some movements are paid out, less costs without a payment."""
        self.dice.shuffle(self.waiting)
        count = len(self.waiting) if everything else self.dice.randrange(1, len(self.waiting) + 1)
        paid, self.waiting = self.waiting[:count], self.waiting[count:]
        extra = [
            reported(self._name("bt"), category, amount=self.dice.randrange(-90, 90))
            for category in ("fee", "other_adjustment")
            if self.dice.random() < 0.7
        ]
        payout = Payout(self._name("po"), paid, extra)
        self.payouts.append(payout)
        return payout

    def drop(self, payouts: Sequence[Payout], change: Callable[..., Any] | None = None) -> None:
        """Put a file with all lines of these payouts into the bucket, in any order."""
        lines = [line for payout in payouts for line in payout.lines]
        self.dice.shuffle(lines)
        if change is not None:
            lines = change(lines)
        body = table(STRIPE_HEADER, [stripe(line) for line in lines]).encode()
        platform, name = self.shop.platform, self._name("file")
        key = f"reconciliation/{self.shop.merchant.id}/{name}.csv"
        platform.clock.advance(1)
        platform.sqs.waiting.append(object_created(key, platform.s3.put(key, body)))

    def damaged(self, lines: Sequence[ImportedLine]) -> list[ImportedLine]:
        """A file with errors, which a later one corrects."""
        found = []
        for line in lines:
            throw = self.dice.random()
            if throw < 0.1:
                self.seen["line left out"] += 1
            elif throw < 0.2:
                self.seen["another amount"] += 1
                found.append(replace(line, amount=line.amount + 1, net=line.net + 1))
            elif throw < 0.3:
                self.seen["another fee"] += 1
                fee = line.fee + self.dice.choice([1, 10**6])
                found.append(replace(line, fee=fee, net=line.amount - fee))
            else:
                found.append(line)
        return found or list(lines)

    # ---------------------------------------------------------------- decisions

    def decide(self) -> None:
        """About half of the open exceptions are resolved, with a random possible action."""
        for row in self.shop.platform.rows(SettlementLine):
            possible = [each for each in actions_for(row) if each is not ResolutionAction.LINK]
            if possible and self.dice.random() < 0.5:
                action = self.dice.choice(possible)
                self.decisions.resolve(row, action)
                self.seen[action] += 1

    def undo(self) -> None:
        """Resolutions are undone, except for lines that a corrected file will change."""
        truth = {line.identity: line for payout in self.payouts for line in payout.lines}
        for row in self.shop.platform.rows(SettlementLine):
            right = truth.get(row.identity or "")
            same = right is not None and (right.amount, right.fee) == (row.amount, row.fee)
            if row.resolution is not None and same:
                self.decisions.resolve(row, "undo")
                self.seen["undo"] += 1

    # ---------------------------------------------------------------- expected values

    @property
    def torn(self) -> bool:
        """Whether half of a partially captured charge is paid out without the other."""
        waiting = [each.line for each in self.waiting]
        paid = [each.line for payout in self.payouts for each in payout.movements]
        halves = {"charge", "partial_capture_reversal"}
        left = {line.references.payment_id for line in waiting if line.category in halves}
        gone = {line.references.payment_id for line in paid if line.category in halves}
        reversed_ = {
            line.references.payment_id
            for line in (*waiting, *paid)
            if line.category == "partial_capture_reversal"
        }
        return bool(left & gone & reversed_)

    def left(self) -> Counter[str]:
        """The expected balances of clearing and fees: movements that were not paid out yet."""
        balances: Counter[str] = Counter()
        for movement in self.waiting:
            line = movement.line
            balances[clearing_account(line.currency)] -= line.amount
            balances[fees_account(line.currency)] += movement.known_fee
        return balances
