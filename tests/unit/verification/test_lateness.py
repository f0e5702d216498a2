"""Late data in ledger verification is rechecked before it is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from runtime.dynamodb.store import ScanPage
from runtime.ledger.entries.models import credit_partition, shard_sequence, version_sequence
from runtime.verification.accounts.phase import read_accounts
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.books_repository import PaymentFacts, TransactionFacts
from runtime.verification.payments.phase import read_payments
from runtime.verification.repository import Stored, VerificationRepository
from runtime.verification.rules import CheckName, CurrencySums, Findings
from runtime.verification.segments import (
    LedgerVerificationDependencies,
    OutOfTime,
    Phase,
    RunState,
    SegmentState,
    Work,
)
from tests.support.ledger_changes import NoChanges
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

    def save(self, checkpoints: Mapping[str, Any], now: datetime) -> None:
        assert all("acc_f#" in name for name in checkpoints), "of hot accounts alone"

    def save_segment(
        self, run_id: str, part: str, stored: Stored[SegmentState], now: datetime
    ) -> Stored[SegmentState]:
        row = VerificationRepository._row(run_id, part, stored, now, kept_days=1)
        self.sizes.append(len(row.content))
        return stored


@dataclass
class PreparedReads:
    """A stub of VerificationReads with prepared results."""

    segments: int = 1
    payments: Callable[[int, Any], Iterator[ScanPage[PaymentFacts]]] = lambda *_: iter(())
    transactions: Callable[[Sequence[str]], dict[str, TransactionFacts]] = lambda _: {}
    payments_by_id: Callable[[Sequence[str]], dict[str, PaymentFacts]] = lambda _: {}
    accounts: Callable[[int, Any], Iterator[ScanPage[BalanceRow]]] = lambda *_: iter(())
    lines: Callable[[str, str | None], Iterator[Line]] = lambda *_: iter(())
    shards_of: Callable[[BalanceRow], list[BalanceRow]] = lambda _: []
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
            changes=NoChanges(),
            checkpoints=cast("Any", self.verifications),
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


PROFILE = BalanceRow(
    id="acc_f", shard="00", currency="USD", posting="folded", account_type="system"
)


def balance_shard(version: int, balance: int) -> BalanceRow:
    return BalanceRow(
        id="acc_f#01",
        shard="01",
        currency="USD",
        posting="folded",
        version=version,
        balance=balance,
    )


def credit(version: int, amount: int) -> Line:
    operation = new_id("trf", LONG_AGO)
    return Line(
        account_shard=credit_partition("acc_f", operation),
        sequence=shard_sequence(operation),
        operation_id=operation,
        transfer_id=operation,
        account_id="acc_f",
        amount=amount,
        fold_version=version,
        balance_shard="01",
    )


def prepared(bench: Bench, row: BalanceRow, lines: Sequence[Line]) -> None:
    """The account has one credit shard, with these entries."""
    bench.shelf.accounts = lambda *_: iter([ScanPage([PROFILE], None)])
    bench.shelf.shards_of = lambda _: [row]
    bench.shelf.lines = lambda partition, _after: iter(
        [line for line in lines if line.account_shard == partition]
    )


def test_a_shard_entry_that_is_visible_before_its_row_is_not_a_violation() -> None:
    bench = Bench()
    seen = iter([balance_shard(1, 5), balance_shard(2, 8)])
    prepared(bench, balance_shard(1, 5), [credit(1, 5), credit(2, 3)])
    bench.shelf.rows = lambda keys: {keys[0]: next(seen)} if keys else {}
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert not violated(work.state.findings)
    assert next(seen, None) is None


def test_a_shard_entry_whose_row_never_appears_is_reported() -> None:
    bench = Bench()
    prepared(bench, balance_shard(0, 0), [credit(1, 3)])
    bench.shelf.rows = lambda keys: {key: balance_shard(0, 0) for key in keys}
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert violated(work.state.findings) == {"account_entries"}


def test_an_entry_that_names_another_shard_is_reported_for_both() -> None:
    bench = Bench()
    wrong = credit(1, 5).model_copy(update={"balance_shard": "02"})
    prepared(bench, balance_shard(1, 5), [wrong])
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    check = work.state.findings.checks[CheckName.ACCOUNT_ENTRIES]
    assert {each.id: (each.expected, each.found) for each in check.named} == {
        "acc_f#01": (0, 5),
        "acc_f#02": ("version 1, as its entries", "no such row"),
    }


def test_a_credit_shard_without_its_account_is_reported() -> None:
    bench = Bench()
    bench.shelf.accounts = lambda *_: iter([ScanPage([balance_shard(1, 5)], None)])
    work = bench.work(Phase.ACCOUNTS)
    read_accounts(work)
    assert violated(work.state.findings) == {"account_entries"}


def test_a_run_goes_on_in_the_middle_of_the_entries_of_credit_shards() -> None:
    lines = [credit(version, 1) for version in range(1, 101)]
    bench = Bench()
    prepared(bench, balance_shard(100, 100), lines)
    bench.shelf.entries_page = 7
    whole = bench.shelf.lines
    bench.shelf.lines = lambda partition, after: (
        line for line in whole(partition, None) if line.sequence > (after or "")
    )
    stops = 0
    work = bench.work(Phase.ACCOUNTS)
    work.stopped = lambda: True
    while not work.state.done:
        try:
            read_accounts(work)
        except OutOfTime:
            stops += 1
            bench.shelf.accounts = lambda *_: iter(())
            state = work.state.model_copy(deep=True)
            work = bench.work(Phase.ACCOUNTS)
            work.stored = Stored(SegmentState.model_validate_json(state.model_dump_json()), 0)
            work.stopped = lambda: True
    assert stops >= 10
    assert not violated(work.state.findings)
    assert work.state.tally.sums("USD") == CurrencySums(balances=100, entries=100)


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
