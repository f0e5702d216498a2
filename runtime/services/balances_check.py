"""Comparing the balances of hot accounts with the transfers behind them, and adding what they lack.

A processed transfer names the accounts that the change stream adds it to. If the stream lost its
record (it keeps records for 24 hours), the account has no entry of the transfer. Entries have keys
that follow from the transfer, so what is missing is found by reading, and it is added by the same
code that the projector uses: an entry and the sum are one commit, which happens once however often
and by whomever it is tried. So a repair can run while money moves, be killed, and be run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from runtime.domain.ids import highest_id
from runtime.domain.ledger import fold_shard, operation_time
from runtime.domain.proof import is_newer
from runtime.models.entry import entry_partition, fold_sequence
from runtime.models.scope import EVERYBODY
from runtime.models.transfer import Transfer
from runtime.repositories.books import Books, TransferFacts
from runtime.repositories.folding import FoldRepository
from runtime.repositories.refusals import InvalidRequest
from runtime.repositories.transfers import TransferRepository
from runtime.services.folding_projection import FoldingProjection
from runtime.services.proof_transfers import posted_by
from runtime.services.stream_records import Change, Kind

CUT: Final = timedelta(minutes=10)
"""Younger operations are left to the stream, which may only be late with them."""
MAX_NAMED: Final = 10
"""Missing transfers that a difference names; all are counted."""
TRANSFERS_AT_ONCE: Final = 50
"""Transfers whose entries are looked up together, and that are added together."""


@dataclass(frozen=True)
class BalancesDesk:
    """What a check works with. `progress` hears how many transfers were read."""

    books: Books
    transfers: TransferRepository
    folds: FoldRepository
    folding: FoldingProjection
    clock: Callable[[], datetime]
    progress: Callable[[int], None] = lambda _rows: None
    cut: timedelta = CUT


@dataclass
class Lacking:
    """What one account has no entries of: how many transfers, their sum, and the first of them."""

    currency: str
    transfers: int = 0
    amount: int = 0
    named: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BalanceDifference:
    """A hot account whose balance is wrong, in minor units."""

    account_id: str
    currency: str
    expected: int
    found: int
    missing: int
    named: tuple[str, ...]


@dataclass
class BalancesReport:
    """What a check found; `repaired` counts transfers that were added, `left` is what stays."""

    transfers: int = 0
    repaired: int = 0
    differences: list[BalanceDifference] = field(default_factory=list)
    left: list[BalanceDifference] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong, or not any more."""
        return not self.left


@dataclass(frozen=True, slots=True)
class _Missing:
    """A transfer, and what it would change in an account that has no entry of it."""

    transfer_id: str
    account_id: str
    currency: str
    amount: int


def check_balances(desk: BalancesDesk, *, repair: bool = False) -> BalancesReport:
    """Compare hot accounts with all transfers until the cut; add what is missing, if `repair`."""
    report = BalancesReport()
    cut_mark = operation_time(highest_id("cut", desk.clock() - desk.cut))
    report.transfers, lacking = _read(desk, cut_mark, lambda _: None)
    report.differences = report.left = _differences(lacking, desk)
    if repair and report.differences:
        adding = _Adding(desk)
        _read(desk, cut_mark, adding.add)
        report.repaired = adding.added
        report.left = _differences(_read(desk, cut_mark, lambda _: None)[1], desk)
    return report


def _read(
    desk: BalancesDesk, cut_mark: str, on_missing: Callable[[Sequence[_Missing]], None]
) -> tuple[int, dict[str, Lacking]]:
    """Read every transfer once; how many there are, and what accounts lack of them."""
    lacking: dict[str, Lacking] = {}
    lock = threading.Lock()

    def read(segment: int) -> int:
        count = 0
        for page in desk.books.transfers(segment, None):
            for start in range(0, len(page.rows), TRANSFERS_AT_ONCE):
                some = page.rows[start : start + TRANSFERS_AT_ONCE]
                missing = _missing(some, cut_mark, desk)
                with lock:
                    _count(missing, lacking)
                if missing:
                    on_missing(missing)
            count += len(page.rows)
            desk.progress(len(page.rows))
        return count

    with ThreadPoolExecutor(desk.books.segments) as pool:
        return sum(pool.map(read, range(desk.books.segments))), lacking


def _missing(
    transfers: Sequence[TransferFacts], cut_mark: str, desk: BalancesDesk
) -> list[_Missing]:
    """What folded accounts have no entry of. A transfer that contradicts itself is the proof's."""
    wanted: dict[tuple[str, str], _Missing] = {}
    for transfer in transfers:
        if is_newer(transfer.operation_id, cut_mark):
            continue
        nets = posted_by(transfer) or {}
        shard, sequence = fold_shard(transfer.id), fold_sequence(transfer.operation_id)
        for account_id in transfer.folded_accounts:
            net = nets.get(account_id, 0)
            if net:
                key = (entry_partition(account_id, shard), sequence)
                wanted[key] = _Missing(transfer.id, account_id, transfer.currency, net)
    there = desk.books.entries_there(list(wanted))
    return [each for key, each in wanted.items() if key not in there]


def _count(missing: Sequence[_Missing], lacking: dict[str, Lacking]) -> None:
    for each in missing:
        account = lacking.setdefault(each.account_id, Lacking(each.currency))
        account.transfers += 1
        account.amount += each.amount
        if len(account.named) < MAX_NAMED:
            account.named.append(each.transfer_id)


def _differences(lacking: dict[str, Lacking], desk: BalancesDesk) -> list[BalanceDifference]:
    differences = []
    for account_id, lacks in sorted(lacking.items()):
        found = sum(row.balance for row in desk.folds.rows_of(account_id))
        differences.append(
            BalanceDifference(
                account_id=account_id,
                currency=lacks.currency,
                expected=found + lacks.amount,
                found=found,
                missing=lacks.transfers,
                named=tuple(lacks.named),
            )
        )
    return differences


@dataclass
class _Adding:
    """Adds missing transfers as the projector does, one batch at a time."""

    desk: BalancesDesk
    added: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, missing: Sequence[_Missing]) -> None:
        """Add these. What DynamoDB refuses, whatever is tried, stays missing and is reported."""
        ids = list(dict.fromkeys(each.transfer_id for each in missing))
        changes = [_as_inserted(row) for row in self.desk.transfers.get_many(ids, EVERYBODY)]
        with self._lock:  # the projection remembers accounts, and is one invocation's
            try:
                self._fold(changes)
            except InvalidRequest:
                for change in changes:
                    with suppress(InvalidRequest):
                        self._fold([change])

    def _fold(self, changes: Sequence[Change]) -> None:
        self.added += len(changes) - len(self.desk.folding(changes))


def _as_inserted(transfer: Transfer) -> Change:
    """The change that the stream should have brought. Numbers only tell changes apart."""
    return Change(Kind.INSERT, transfer.id, None, transfer)
