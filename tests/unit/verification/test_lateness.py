"""Late data in ledger verification is rechecked before it is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from runtime.dynamodb.store import ScanPage
from runtime.ledger.entries.models import entry_partition, shard_sequence, version_sequence
from runtime.verification.accounts.phase import read_accounts
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.books_repository import PaymentFacts, TransactionFacts
from runtime.verification.payments.phase import read_payments
from runtime.verification.repository import Stored, VerificationRepository
from runtime.verification.rules import Findings
from runtime.verification.segments import (
    LedgerVerificationDependencies,
    Phase,
    RunState,
    SegmentState,
    Work,
)
from tests.support.outside import new_id, outside

NOW = datetime(2026, 7, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
CAPTURE = new_id("txn", LONG_AGO)
REFUNDS = tuple(new_id("txn", LONG_AGO) for _ in range(3))
ITEM_BYTES = 400 * 1024
"""Largest item. Amazon DynamoDB Developer Guide, "Quotas"."""


@dataclass
class SizedCheckpoints:
    """Accepts checkpoints and records the size of their rows."""

    sizes: list[int] = field(default_factory=list)

    def save_segment(
        self, run_id: str, part: str, stored: Stored[SegmentState], now: datetime
    ) -> Stored[SegmentState]:
        row = VerificationRepository._row(run_id, part, stored, now, expires=True)
        self.sizes.append(len(row.content))
        return stored


@dataclass
class PreparedReads:
    """A stub of VerificationReads with prepared results."""

    payments: Callable[[int, Any], Iterator[ScanPage[PaymentFacts]]] = lambda *_: iter(())
    transactions: Callable[[Sequence[str]], dict[str, TransactionFacts]] = lambda _: {}
    payments_by_id: Callable[[Sequence[str]], dict[str, PaymentFacts]] = lambda _: {}
    accounts: Callable[[int, Any], Iterator[ScanPage[BalanceRow]]] = lambda *_: iter(())
    lines: Callable[[str, str | None], Iterator[Line]] = lambda *_: iter(())
    rows: Callable[[Sequence[tuple[str, str]]], dict[tuple[str, str], BalanceRow]] = lambda _: {}
    entries_page: int = 500

    def transfers_by_id(self, ids: Sequence[str]) -> dict[str, Any]:
        return {}


@dataclass
class Bench:
    """Work on one segment, with a clock that advances on every pause."""

    shelf: PreparedReads = field(default_factory=PreparedReads)
    verifications: SizedCheckpoints = field(default_factory=SizedCheckpoints)
    now: datetime = NOW

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def work(self, phase: Phase) -> Work:
        deps = LedgerVerificationDependencies(
            verifications=cast("Any", self.verifications),
            books=cast("Any", self.shelf),
            outside=outside(now=lambda: self.now, sleep=self.sleep),
            must_stop=lambda: False,
            cut=timedelta(minutes=6),
            checkpoint_steps=1,
        )
        run = RunState(run_id="prf_x", cut="2026-06-30T23:54:00.000Z", phase=phase)
        return Work(deps, run, 0, Stored(SegmentState(), 0), lambda: False, lambda: None)


def violated(findings: Findings) -> set[str]:
    return {name.value for name, check in findings.checks.items() if check.violated}


def refunded(times: int, stored: int) -> PaymentFacts:
    return PaymentFacts(
        id="pay_1",
        amount_captured=9,
        amount_refunded=stored,
        refundable_minor=9 - stored,
        transaction_ids=(CAPTURE, *REFUNDS[:times]),
    )


def transactions(refunds: int) -> dict[str, TransactionFacts]:
    def fact(name: str, kind: str, amount: int) -> TransactionFacts:
        return TransactionFacts(
            id=name, payment_id="pay_1", type=kind, status="succeeded", amount=amount
        )

    refunds_ = {name: fact(name, "refund", 1) for name in REFUNDS[:refunds]}
    return {CAPTURE: fact(CAPTURE, "capture", 9), **refunds_}


def test_a_payment_that_changes_during_two_distant_reads_is_rechecked() -> None:
    bench = Bench()
    looks = iter([refunded(2, 1), refunded(2, 2)])
    done = iter([transactions(1), {}, transactions(2), transactions(2)])

    def pages(*_: Any) -> Iterator[ScanPage[PaymentFacts]]:
        yield ScanPage([refunded(1, 0)], None)
        bench.now += timedelta(minutes=5)  # the rest of the segment
        yield ScanPage([PaymentFacts(id="pay_2")], None)

    bench.shelf.payments = pages
    bench.shelf.transactions = lambda _: next(done)
    bench.shelf.payments_by_id = lambda _: {"pay_1": next(looks)}
    work = bench.work(Phase.PAYMENTS)
    read_payments(work)
    assert not violated(work.state.findings)
    assert next(looks, None) is None


def test_a_payment_that_never_agrees_is_reported_after_the_grace_period() -> None:
    bench = Bench()
    bench.shelf.payments = lambda *_: iter([ScanPage([refunded(1, 0)], None)])
    bench.shelf.transactions = lambda _: transactions(1)
    bench.shelf.payments_by_id = lambda _: {"pay_1": refunded(1, 0)}
    work = bench.work(Phase.PAYMENTS)
    read_payments(work)
    assert violated(work.state.findings) == {"payment_totals"}
    assert bench.now - NOW >= timedelta(seconds=work.deps.grace_seconds)


def balance_shard(version: int, balance: int) -> BalanceRow:
    return BalanceRow(
        id="acc_f", shard="01", currency="USD", posting="folded", version=version, balance=balance
    )


def test_a_shard_entry_that_is_visible_before_its_row_is_not_a_violation() -> None:
    bench = Bench()
    seen = iter([balance_shard(1, 5), balance_shard(2, 8)])
    lines = [
        Line(
            account_shard=entry_partition("acc_f", "01"),
            sequence=shard_sequence(operation),
            operation_id=operation,
            transfer_id=operation,
            account_id="acc_f",
            amount=amount,
            fold_version=version,
        )
        for version, amount in ((1, 5), (2, 3))
        for operation in (new_id("trf", LONG_AGO),)
    ]
    bench.shelf.accounts = lambda *_: iter([ScanPage([balance_shard(1, 5)], None)])
    bench.shelf.lines = lambda *_: iter(lines)
    bench.shelf.rows = lambda keys: {keys[0]: next(seen)}
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert not violated(work.state.findings)
    assert next(seen, None) is None


def test_a_shard_entry_whose_row_never_appears_is_reported() -> None:
    bench = Bench()
    operation = new_id("trf", LONG_AGO)
    ahead = Line(
        account_shard=entry_partition("acc_f", "01"),
        sequence=shard_sequence(operation),
        operation_id=operation,
        transfer_id=operation,
        account_id="acc_f",
        amount=3,
        fold_version=1,
    )
    bench.shelf.accounts = lambda *_: iter([ScanPage([balance_shard(0, 0)], None)])
    bench.shelf.lines = lambda *_: iter([ahead])
    bench.shelf.rows = lambda keys: {keys[0]: balance_shard(0, 0)}
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert violated(work.state.findings) == {"account_entries"}


def test_a_checkpoint_fits_in_one_item_however_many_long_accounts_are_late() -> None:
    """The newest entry of each account is not written yet when its row is read."""
    bench = Bench()
    entries, accounts = 400, 120
    names = [f"acc_{number:03d}" for number in range(accounts)]
    operations = [new_id("trf", LONG_AGO) for _ in range(entries)]

    def pages(*_: Any) -> Iterator[ScanPage[BalanceRow]]:
        for name in names:
            row = BalanceRow(
                id=name, shard="00", currency="USD", version=entries + 1, balance=entries + 1
            )
            yield ScanPage([row.model_copy(update={"spendable": row.balance})], None)

    def lines(partition: str, after: str | None) -> Iterator[Line]:
        name = partition.partition("#")[0]
        there = entries + (1 if bench.now - NOW >= timedelta(seconds=5) else 0)
        for version in range(1, there + 1):
            operation = operations[(version + int(name[4:])) % entries]
            if version_sequence(version) > (after or ""):
                yield Line(
                    account_shard=partition,
                    sequence=version_sequence(version),
                    operation_id=operation,
                    transfer_id=operation,
                    account_id=name,
                    amount=1,
                    balance_after=version,
                )

    bench.shelf.accounts = pages
    bench.shelf.lines = lines
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert not violated(work.state.findings)
    assert work.state.tally.sums("USD").balances == accounts * (entries + 1)
    assert max(bench.verifications.sizes) < ITEM_BYTES / 2
