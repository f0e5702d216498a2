"""The changes of settling lines, held in memory until they are written in one commit.

A row that several lines of a batch change is written once. A draft can be copied before each line,
so that a line that does not fit into the commit is left for the next one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from runtime.core.change_context import ChangeContext
from runtime.core.fields import MAX_AMOUNT_MINOR
from runtime.core.outside import Outside
from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import MerchantProfile
from runtime.payments.charge.outcome import unsettled_bucket
from runtime.payments.models import Payment
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import (
    AuditStep,
    GroupedLine,
    Transaction,
    TransactionStatus,
)
from runtime.reconciliation.matching.flows import added, reversed_flows
from runtime.reconciliation.matching.repository import LineKey
from runtime.reconciliation.matching.rules import Counterpart
from runtime.reconciliation.matching.settled_parts import (
    DisputePart,
    has_settled,
    payments_about,
    settled_part,
)
from runtime.reconciliation.settlements.models import (
    Flows,
    LineStatus,
    LineType,
    Settlement,
    SettlementIdentity,
    SettlementLine,
)


@dataclass(slots=True)
class LoadedRows:
    """A merchant's rows as they were read.

    `by_processor`: ids of transactions by processor id; `about`: keys of lines by transaction, for
    transactions whose lines change.
    """

    settlements: dict[str, Settlement] = field(default_factory=dict)
    identities: dict[str, SettlementIdentity] = field(default_factory=dict)
    lines: dict[LineKey, SettlementLine] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    by_processor: dict[str, tuple[str, ...]] = field(default_factory=dict)
    about: dict[str, tuple[LineKey, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to settle lines of a merchant: its author and its time."""

    merchant: MerchantProfile
    context: ChangeContext
    now: datetime
    outside: Outside

    def new_id(self, prefix: str) -> str:
        """A fresh id for something that the attempt creates, with the attempt's time."""
        return self.outside.new_id(prefix, self.now)


@dataclass(frozen=True, slots=True)
class Size:
    """Writes of a draft, each transfer with its debit shard, and its largest leg in minor units."""

    writes: int
    largest_leg: int

    def fits(self, most_writes: int) -> bool:
        """Whether it fits into one transaction."""
        return self.writes <= most_writes and self.largest_leg <= MAX_AMOUNT_MINOR


@dataclass(slots=True)
class Draft:
    """Rows in their new state, and the bookings of each line, by currency."""

    found: LoadedRows
    attempt: Attempt
    lines: dict[LineKey, SettlementLine] = field(default_factory=dict)
    identities: dict[str, SettlementIdentity] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    booked: dict[LineKey, dict[str, Flows]] = field(default_factory=dict)

    def copy(self) -> Draft:
        """A copy that can be changed independently."""
        return replace(
            self,
            lines=dict(self.lines),
            identities=dict(self.identities),
            transactions=dict(self.transactions),
            payments=dict(self.payments),
            booked=dict(self.booked),
        )

    # ---------------------------------------------------------------- rows in their new state

    def transaction(self, transaction_id: str) -> Transaction | None:
        """A transaction by its id."""
        return self.transactions.get(transaction_id) or self.found.transactions.get(transaction_id)

    def of_processor(self, processor_id: str) -> Sequence[Transaction]:
        """Transactions with this processor id."""
        named = (self.transaction(each) for each in self.found.by_processor.get(processor_id, ()))
        return [each for each in named if each is not None]

    def payment(self, payment_id: str) -> Payment | None:
        """A payment by its id."""
        return self.payments.get(payment_id) or self.found.payments.get(payment_id)

    def transactions_of(self, payment_id: str) -> Sequence[Transaction]:
        """All transactions of a payment, oldest first."""
        payment = self.payment(payment_id)
        named = (self.transaction(each) for each in payment.transaction_ids) if payment else ()
        return [each for each in named if each is not None]

    def line(self, key: LineKey) -> SettlementLine | None:
        """A stored line, or one of this draft."""
        return self.lines.get(key) or self.found.lines.get(key)

    def identity(self, identity_id: str) -> SettlementIdentity | None:
        """The place of the line with an identity."""
        return self.identities.get(identity_id) or self.found.identities.get(identity_id)

    def put_line(self, line: SettlementLine) -> None:
        """Set the new state of a line."""
        self.lines[key_of(line)] = line

    # ---------------------------------------------------------------- postings

    def book(self, key: LineKey, flows: Mapping[str, Flows]) -> None:
        """Add a booking of a line, by currency."""
        before = self.booked.get(key, {})
        currencies = {**before, **flows}
        self.booked[key] = {
            currency: added(each[currency] for each in (before, flows) if currency in each)
            for currency in currencies
        }

    def all_booked(self, key: LineKey) -> dict[str, Flows]:
        """All bookings of a line, before this draft and in it, by currency."""
        line = self.line(key)
        flows: dict[str, list[Flows]] = defaultdict(list)
        for booking in line.bookings if line is not None else ():
            flows[booking.currency].append(booking.flows)
        for currency, each in self.booked.get(key, {}).items():
            flows[currency].append(each)
        return {currency: added(each) for currency, each in flows.items()}

    def take_back(self, key: LineKey) -> None:
        """Book the opposite of all bookings of a line."""
        self.book(key, {name: reversed_flows(each) for name, each in self.all_booked(key).items()})

    def size(self) -> Size:
        """The maximum size of the draft's writes."""
        sums: Counter[tuple[str, str, str, bool]] = Counter()
        for (settlement_id, _), by_currency in self.booked.items():
            for currency, flows in by_currency.items():
                for name, amount in flows:
                    if amount:
                        sums[settlement_id, currency, name, amount > 0] += abs(amount)
        transfers = {(settlement_id, currency) for settlement_id, currency, _, _ in sums}
        rows = len({*self.lines, *self.booked}) + len(self.identities)
        rows += len(self.transactions) + len(self.payments)
        return Size(rows + 2 * len(transfers), max(sums.values(), default=0))

    # ---------------------------------------------------------------- what is settled

    def settle(self, ours: Counterpart, key: LineKey, learned_fee: int = 0) -> None:
        """Mark what a line settles. `learned_fee`: above the fee known before, minor units."""
        for position, transaction_id in enumerate(ours.transactions):
            self._settle_transaction(transaction_id, key, learned_fee if position == 0 else 0)
        if ours.returned is not None:
            refund = self._transaction(ours.returned)
            after = refund.model_copy(update={"return_settlement_id": key[0]})
            self.transactions[refund.id] = after
        if ours.dispute_id is not None:
            self._settle_dispute(
                ours.payment_id,
                ours.dispute_id,
                DisputePart(abs(ours.ours.amount), ours.ours.fee, learned_fee, ours.reversal),
            )

    def _settle_transaction(self, transaction_id: str, key: LineKey, learned_fee: int) -> None:
        before = self._transaction(transaction_id)
        assert before.settlement_id is None, f"{before.id} is settled by {before.settlement_id}"
        at, settled = to_timestamp(self.attempt.now), TransactionStatus.SETTLED
        changes: dict[str, object] = {
            "settlement_id": key[0],
            "settlement_line": key[1],
            "settled_at": at,
            "unsettled_bucket": None,
            "fee": before.fee + learned_fee,
            "learned_fee": before.learned_fee + learned_fee,
            "missing_in": None,
            "missing_line": None,
        }
        if before.status is TransactionStatus.SUCCEEDED:
            step = AuditStep(status=settled, at=at, by=self.attempt.context.changed_by)
            changes |= {"status": settled, "audit_trail": (*before.audit_trail, step)}
        self.transactions[before.id] = before.model_copy(update=changes)
        self._learn(before.payment_id, learned_fee)
        self._find_missing(before, key)

    def _find_missing(self, transaction: Transaction, key: LineKey) -> None:
        """The line of a missing transaction is matched by the line in which it was found."""
        if transaction.missing_in is None or transaction.missing_line is None:
            return
        missing = self.line((transaction.missing_in, transaction.missing_line))
        if missing is None or key_of(missing) == key or missing.status is not LineStatus.MISSING:
            return
        found = {"status": LineStatus.MATCHED, "reason": f"found in {key[0]}, line {key[1]}"}
        self.put_line(missing.model_copy(update=found))

    def unsettle(self, transaction_id: str) -> None:
        """A transaction waits for its line again; a learned fee is reversed."""
        before = self._transaction(transaction_id)
        changes: dict[str, object] = {
            "settlement_id": None,
            "settlement_line": None,
            "settled_at": None,
            "fee": before.fee - before.learned_fee,
            "learned_fee": 0,
        }
        if before.status is TransactionStatus.SETTLED:
            status, at = TransactionStatus.SUCCEEDED, to_timestamp(self.attempt.now)
            step = AuditStep(status=status, at=at, by=self.attempt.context.changed_by)
            changes |= {
                "status": status,
                "audit_trail": (*before.audit_trail, step),
                "unsettled_bucket": unsettled_bucket(
                    before.id, self.attempt.merchant, self.attempt.now
                ),
            }
        self.transactions[before.id] = before.model_copy(update=changes)
        self._learn(before.payment_id, -before.learned_fee)

    def _learn(self, payment_id: str, fee: int) -> None:
        if not fee:
            return
        payment = self._payment(payment_id)
        self.payments[payment_id] = payment.model_copy(update={"fee": payment.fee + fee})

    def _settle_dispute(self, payment_id: str, dispute_id: str, part: DisputePart) -> None:
        """Add a dispute's amounts found in a file."""
        payment = self._payment(payment_id)
        disputes = payment.disputes or {}
        changed = {**disputes, dispute_id: part.added_to(disputes[dispute_id])}
        self.payments[payment_id] = payment.model_copy(update={"disputes": changed})

    # ---------------------------------------------------------------- reversing

    def withdraw(self, line: SettlementLine) -> None:
        """Reverse everything that a line has booked and settled; the line itself is unchanged."""
        self.take_back(key_of(line))
        for payment_id in payments_about(line):
            self._leave_group(payment_id, line)
        self._release(line)

    def reopen(self, line: SettlementLine) -> None:
        """Reverse what a resolution of a line has booked and settled, and nothing else.

        Other lines of its payment are unchanged.
        """
        self.take_back(key_of(line))
        self._release(line)

    def _release(self, line: SettlementLine) -> None:
        key = key_of(line)
        about = self.transaction(line.transaction_id) if line.transaction_id else None
        others = self.transactions_of(line.payment_id) if line.payment_id else ()
        for each in {row.id: row for row in (*others, *([about] if about else ()))}.values():
            if _settled_by(each, key):
                self.unsettle(each.id)
        if not has_settled(line):
            return
        if line.type is LineType.REFUND_FAILURE and about is not None:
            if about.return_settlement_id == key[0]:
                after = about.model_copy(update={"return_settlement_id": None})
                self.transactions[about.id] = after
        elif line.type in (LineType.DISPUTE, LineType.DISPUTE_REVERSAL):
            self._withdraw_dispute(line)

    def _withdraw_dispute(self, line: SettlementLine) -> None:
        if line.payment_id is None or line.dispute_id is None:
            return
        payment = self.payment(line.payment_id)
        if payment is None or line.dispute_id not in (payment.disputes or {}):
            return
        settled, learned = settled_part(line)
        self._settle_dispute(
            payment.id,
            line.dispute_id,
            DisputePart(
                -abs(settled.amount),
                -settled.fee,
                -learned,
                line.type is LineType.DISPUTE_REVERSAL,
            ),
        )

    # ---------------------------------------------------------------- groups of lines

    def group_of(self, charge_id: str) -> tuple[GroupedLine, ...]:
        """Lines of a payment that do not match its captures alone."""
        charge = self.transaction(charge_id)
        return charge.settlement_group if charge is not None else ()

    def join_group(self, charge_id: str, member: GroupedLine) -> None:
        """A line waits for others of its payment, or has completed the group; it is in it once."""
        charge, key = self._transaction(charge_id), (member.settlement_id, member.line)
        group = charge.settlement_group
        group = (*(each for each in group if (each.settlement_id, each.line) != key), member)
        self.transactions[charge_id] = charge.model_copy(update={"settlement_group": group})

    def _leave_group(self, payment_id: str, line: SettlementLine) -> None:
        """Remove a line from a payment's group; if it had completed it, the others wait again.

        Others of the payment that wait, or are resolved, are unchanged.
        """
        charge_id, key = charge_transaction_id(payment_id), key_of(line)
        group = self.group_of(charge_id)
        left = tuple(each for each in group if (each.settlement_id, each.line) != key)
        if len(left) == len(group):
            return
        charge = self._transaction(charge_id)
        self.transactions[charge_id] = charge.model_copy(update={"settlement_group": left})
        if not _matched_with_others(line):
            return
        others = [
            each
            for each in left
            if (row := self.line((each.settlement_id, each.line))) and _matched_with_others(row)
        ]
        members = {key, *((each.settlement_id, each.line) for each in others)}
        payment = self.payment(payment_id)
        names = payment.transaction_ids if payment is not None else (charge_id,)
        captures = [each for name in names if (each := self.transaction(name)) is not None]
        settled = [each.id for each in captures if any(_settled_by(each, k) for k in members)]
        if not settled:
            return
        for transaction_id in settled:
            self.unsettle(transaction_id)
        for member in others:
            self._wait_again(member, payment_id)

    def _wait_again(self, member: GroupedLine, payment_id: str) -> None:
        key = (member.settlement_id, member.line)
        line = self.line(key)
        assert line is not None, f"line {key} of the group of {payment_id} was not read"
        self.take_back(key)
        waiting = {
            "status": LineStatus.AMOUNT_MISMATCH,
            "reason": f"does not fit the captures of {payment_id} alone any more: another line of "
            "it has changed",
        }
        self.put_line(line.model_copy(update=waiting))

    def _transaction(self, transaction_id: str) -> Transaction:
        transaction = self.transaction(transaction_id)
        assert transaction is not None, f"{transaction_id} was not read"
        return transaction

    def _payment(self, payment_id: str) -> Payment:
        payment = self.payment(payment_id)
        assert payment is not None, f"{payment_id} was not read"
        return payment


def key_of(line: SettlementLine) -> LineKey:
    """A line's settlement and number."""
    return line.settlement_id, line.line


def _matched_with_others(member: SettlementLine) -> bool:
    """Whether a line of a group is more than waiting in it."""
    return member.status is LineStatus.MATCHED and member.resolution is None


def _settled_by(transaction: Transaction, key: LineKey) -> bool:
    return (transaction.settlement_id, transaction.settlement_line) == key
