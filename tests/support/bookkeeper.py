"""A correct ledger written row by row, and its verification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.ledger.accounts.models import Account, row_key
from runtime.ledger.entries.projection import entry_of
from runtime.ledger.hot_accounts.repository import HotAccount, ShardCredit, ShardRepository
from runtime.ledger.rules import net_by_account
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import LedgerVerificationReport, RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies, Phase
from tests.support.ledger_changes import ChangedTables
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

CUT = timedelta(seconds=30)
SEGMENTS = 4
"""Of a table: books of a few rows would be scanned in mostly empty ones."""


class Bookkeeper:
    """A correct ledger written row by row, and its verification."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.must_stop: Callable[[], bool] = lambda: False
        self.slept = 0
        self.changes = ChangedTables(platform)
        self.rows_read: dict[Phase, int] = {}

    @property
    def deps(self) -> LedgerVerificationDependencies:
        return LedgerVerificationDependencies(
            verifications=VerificationRepository(self.platform.store),
            books=VerificationReads(self.platform.store, segments=SEGMENTS),
            changes=self.changes,
            checkpoints=Checkpoints(self.platform.store),
            outside=replace(self.platform.outside, sleep=self._sleep),
            must_stop=self.must_stop,
            cut=CUT,
            grace_seconds=3.0,
            progress=self._read,
        )

    def _read(self, phase: Phase, rows: int) -> None:
        self.rows_read[phase] = self.rows_read.get(phase, 0) + rows

    def _sleep(self, seconds: float) -> None:
        self.slept += 1
        self.platform.clock.advance(1)

    def keep(self, transfers: int = 12) -> list[Transfer]:
        """Two immediate accounts, a hot one, and projected transfers between them."""
        for name, posting in (("acc_a", "immediate"), ("acc_b", "immediate"), ("acc_f", "folded")):
            self._write_account(None, self._account(name, posting))
        made = [self.move(n) for n in range(transfers)]
        self.platform.clock.advance(120)
        return made

    def move(self, number: int, *, project: bool = True) -> Transfer:
        """A transfer of a varying amount, from one account to the two others in turn."""
        target = ("acc_b", "acc_f")[number % 2]
        amount = 10 + number
        now = self.platform.clock()
        transfer_id, at = new_id("trf", now), to_timestamp(now)
        transfer = Transfer(
            id=transfer_id,
            operation_id=transfer_id,
            legs=(Leg(from_account_id="acc_a", to_account_id=target, amount=amount),),
            folded_accounts=("acc_f",) if target == "acc_f" else (),
            amount=amount,
            currency="USD",
            status="processed",
            posted_amount=amount,
            processed_at=at,
            created_at=at,
            updated_at=at,
            **SETUP.stamp(),
        )
        self.platform.put(transfer)
        for name, change in net_by_account(transfer.legs).items():
            if name == "acc_f":
                if project:
                    self.credit(transfer, change)
                continue
            before = self.row(name)
            after = before.model_copy(
                update={
                    "balance": before.balance + change,
                    "spendable": before.spendable + change,
                    "version": before.version + 1,
                    "cause": transfer.id,
                    "last_operation_id": transfer.id,
                    "updated_at": at,
                }
            )
            self._write_account(before, after, project=project)
        return transfer

    def credit(self, transfer: Transfer, change: int) -> None:
        target = HotAccount("acc_f", "platform", self.row("acc_f").account_type, "USD")
        item = ShardCredit(transfer.id, transfer.operation_id, change, transfer.created_at)
        shard_rows = ShardRepository(self.platform.store)
        shard_rows.credit(target, [item], SETUP, self.platform.clock())

    def row(self, name: str, shard: str = "00") -> Account:
        row = self.platform.store.get(Account, row_key(name, shard), Account, UNRESTRICTED)
        assert row is not None
        return row

    def _account(self, name: str, posting: str) -> Account:
        at = to_timestamp(self.platform.clock())
        return Account(
            id=name,
            account_type="wallet",
            currency="USD",
            posting=posting,
            credit_limit=10**6,
            spendable=10**6,
            last_operation_id=new_id("chg", self.platform.clock()),
            created_at=at,
            updated_at=at,
            **SETUP.stamp(),
        )

    def _write_account(
        self, before: Account | None, after: Account, *, project: bool = True
    ) -> None:
        self.platform.put(after)
        if project:
            self.platform.put(entry_of(before, after))

    def verify_ledger(self, kind: RunKind = RunKind.FULL) -> dict[str, list[tuple[str, Any, Any]]]:
        """Violations per check; checks that hold are omitted."""
        report = self.run(kind)
        assert kind is RunKind.INCREMENTAL or all(
            check.counted
            for check in report.checks
            if not check.name.value.startswith(("payment_", "settlement_"))
        )
        return violations_of(report)

    def run(self, kind: RunKind | None) -> LedgerVerificationReport:
        """A complete run."""
        self.rows_read = {}
        report = verify_ledger(self.deps, kind=kind).report
        assert report is not None
        return report


def violations_of(report: LedgerVerificationReport) -> dict[str, list[tuple[str, Any, Any]]]:
    """Violations per check; checks that hold are omitted."""
    broken = {
        check.name.value: [(v.id, v.expected, v.found) for v in check.violations]
        for check in report.checks
        if not check.holds
    }
    assert report.holds == (not broken)
    return broken
