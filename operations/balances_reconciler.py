"""Compares the balances of hot accounts with the transfers behind them, and adds what is missing.

A processed transfer lists the accounts that the change stream adds it to. If the stream lost its
record (it keeps records for 24 hours), the account has no entry of the transfer. Entries have keys
that derive from the transfer, so what is missing is found by reading, and it is added by the same
code that the projector uses: an entry and the sum are one commit, which takes effect once however
often it is repeated. So a repair can run while money moves, be killed, and be run again.

Nothing is added to an account whose shards are ahead of its entries (`shards_ahead`), because its
balance may contain the transfers already.

A debit of a debit shard in a fact's own commit needs no repair of the balance. Only its entry
may be missing, which the change stream of accounts writes; it is added once that stream cannot
deliver it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from operations.shards_ahead import shards_ahead
from runtime.core.ids import created_at, highest_id
from runtime.core.outside import Outside
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import InvalidRequest
from runtime.ledger.entries.models import (
    Entry,
    credit_partition,
    entry_partition,
    shard_sequence,
)
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.rules import operation_time
from runtime.ledger.transfers.models import Transfer
from runtime.ledger.transfers.repository import TransferRepository
from runtime.streams.records import Change, Kind
from runtime.verification.books_repository import TransferFacts, VerificationReads
from runtime.verification.rules import is_newer
from runtime.verification.transfers import posted_by

CUT: Final = timedelta(minutes=10)
"""Younger operations are left to the stream, which may only be late with them."""
DEBIT_CUT: Final = timedelta(hours=25)
"""Younger entries of debit shards may still come: DynamoDB Streams keep a record for 24 hours
(Amazon DynamoDB Developer Guide, "Change data capture for DynamoDB Streams")."""
MAX_NAMED: Final = 10
"""Missing transfers listed in a difference; all are counted."""
TRANSFERS_AT_ONCE: Final = 50
"""Transfers whose entries are looked up together, and that are added together."""


@dataclass(frozen=True)
class BalancesDependencies:
    """Dependencies of a check. `progress` gets the number of transfers read."""

    books: VerificationReads
    transfers: TransferRepository
    shard_rows: ShardRepository
    folding: ShardProjection
    entries: EntryRepository
    outside: Outside
    progress: Callable[[int], None] = lambda _rows: None
    cut: timedelta = CUT
    debit_cut: timedelta = DEBIT_CUT


@dataclass
class Lacking:
    """Missing entries of one account: the number of transfers, and the first of them.

    `amount` is the sum of those that are missing in its balance as well.
    """

    currency: str
    transfers: int = 0
    amount: int = 0
    named: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class BalanceDifference:
    """A hot account without entries of `missing` transfers; `named` are the first of them.

    Its balance in minor units is correct if only entries of debit shards are missing. `ahead`: its
    shards that contain operations without entries; then `expected` is only the sum if none of the
    missing transfers is in the balance, and nothing is added.
    """

    account_id: str
    currency: str
    expected: int
    found: int
    missing: int
    named: tuple[str, ...]
    ahead: tuple[str, ...] = ()


@dataclass
class BalancesReport:
    """The result of a check; `repaired` counts added transfers, `left` has the rest."""

    transfers: int = 0
    repaired: int = 0
    differences: list[BalanceDifference] = field(default_factory=list)
    left: list[BalanceDifference] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether no difference is left."""
        return not self.left


@dataclass(frozen=True, slots=True)
class _Missing:
    """A transfer, and its change of an account that has no entry of it.

    `debit_shard`: the row that was already debited; None if the balance lacks it too.
    """

    transfer_id: str
    operation_id: str
    account_id: str
    currency: str
    amount: int
    debit_shard: str | None = None


def check_balances(deps: BalancesDependencies, *, repair: bool = False) -> BalancesReport:
    """Compare hot accounts with all transfers until the cut; add what is missing, if `repair`."""
    report = BalancesReport()
    cuts = _Cuts.of(deps)
    report.transfers, lacking = _read(deps, cuts, lambda _: None)
    report.differences = report.left = _differences(lacking, deps)
    if repair and report.differences:
        torn = frozenset(each.account_id for each in report.differences if each.ahead)
        adding = _Adding(deps, deps.outside.lock(), torn)
        _read(deps, cuts, adding.add)
        report.repaired = adding.added
        report.left = _differences(_read(deps, cuts, lambda _: None)[1], deps)
    return report


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Time parts of ids: newer ones are left to the streams of transfers and of accounts."""

    folded: str
    debited: str

    @classmethod
    def of(cls, deps: BalancesDependencies) -> _Cuts:
        now = deps.outside.now()
        folded, debited = (
            operation_time(highest_id("cut", now - each)) for each in (deps.cut, deps.debit_cut)
        )
        return cls(folded, debited)


def _read(
    deps: BalancesDependencies, cuts: _Cuts, on_missing: Callable[[Sequence[_Missing]], None]
) -> tuple[int, dict[str, Lacking]]:
    """Read every transfer once; returns their number, and what is missing in accounts."""
    lacking: dict[str, Lacking] = {}
    lock = deps.outside.lock()

    def read(segment: int) -> int:
        count = 0
        for page in deps.books.transfers(segment, None):
            for start in range(0, len(page.rows), TRANSFERS_AT_ONCE):
                some = page.rows[start : start + TRANSFERS_AT_ONCE]
                missing = _missing(some, cuts, deps)
                with lock:
                    _count(missing, lacking)
                if missing:
                    on_missing(missing)
            count += len(page.rows)
            deps.progress(len(page.rows))
        return count

    with deps.outside.threads(deps.books.segments) as pool:
        return sum(pool.map(read, range(deps.books.segments))), lacking


def _missing(
    transfers: Sequence[TransferFacts], cuts: _Cuts, deps: BalancesDependencies
) -> list[_Missing]:
    """Missing entries of hot accounts. A contradictory transfer is left to ledger verification."""
    wanted = {_key_of(each): each for transfer in transfers for each in _changes(transfer, cuts)}
    there = deps.books.entries_there(list(wanted))
    return [each for key, each in wanted.items() if key not in there]


def _changes(transfer: TransferFacts, cuts: _Cuts) -> Iterator[_Missing]:
    """What must have an entry by now in a shard of a hot account."""
    nets = posted_by(transfer) or {}
    of_commit = is_newer(transfer.operation_id, cuts.debited)
    debited = () if of_commit else transfer.debited_accounts
    folded = () if is_newer(transfer.operation_id, cuts.folded) else transfer.folded_accounts
    for accounts, shard in ((folded, None), (debited, transfer.debit_shard)):
        for account_id in accounts:
            if net := nets.get(account_id, 0):
                yield _Missing(
                    transfer.id, transfer.operation_id, account_id, transfer.currency, net, shard
                )


def _key_of(each: _Missing) -> tuple[str, str]:
    partition = (
        credit_partition(each.account_id, each.transfer_id)
        if each.debit_shard is None
        else entry_partition(each.account_id, each.debit_shard)
    )
    return partition, shard_sequence(each.operation_id)


def _count(missing: Sequence[_Missing], lacking: dict[str, Lacking]) -> None:
    for each in missing:
        account = lacking.setdefault(each.account_id, Lacking(each.currency))
        account.transfers += 1
        account.amount += each.amount if each.debit_shard is None else 0
        if len(account.named) < MAX_NAMED:
            account.named.append(each.transfer_id)


def _differences(
    lacking: dict[str, Lacking], deps: BalancesDependencies
) -> list[BalanceDifference]:
    differences = []
    for account_id, lacks in sorted(lacking.items()):
        rows = deps.shard_rows.rows_of(account_id)
        found = sum(row.balance for row in rows)
        differences.append(
            BalanceDifference(
                account_id=account_id,
                currency=lacks.currency,
                expected=found + lacks.amount,
                found=found,
                missing=lacks.transfers,
                named=tuple(lacks.named),
                ahead=shards_ahead(rows, deps.books),
            )
        )
    return differences


@dataclass
class _Adding:
    """Adds missing transfers as the projector does, one batch at a time.

    Transfers of the accounts `torn` are left out, to whichever account.
    """

    deps: BalancesDependencies
    _lock: AbstractContextManager[Any]
    torn: frozenset[str]
    added: int = 0

    def add(self, missing: Sequence[_Missing]) -> None:
        """Add these. What DynamoDB always refuses stays missing and is reported."""
        lacking = (each.transfer_id for each in missing if each.debit_shard is None)
        ids = list(dict.fromkeys(lacking))
        read = self.deps.transfers.get_many(ids, UNRESTRICTED)
        rows = [row for row in read if self.torn.isdisjoint(row.folded_accounts)]
        with self._lock:  # the projection caches accounts, and is one invocation's
            try:
                self._fold([_as_inserted(row) for row in rows])
            except InvalidRequest:
                for row in rows:
                    with suppress(InvalidRequest):
                        self._fold([_as_inserted(row)])
            self._write([each for each in missing if each.debit_shard is not None])

    def _write(self, missing: Sequence[_Missing]) -> None:
        """Write entries of debit shards; each is of a version of its shard that has none."""
        places = {(each.account_id, each.debit_shard or "") for each in missing}
        for place, row in self.deps.books.rows(sorted(places)).items():
            ours = [e for e in missing if (e.account_id, e.debit_shard) == place]
            ours.sort(key=lambda each: operation_time(each.operation_id))
            lines = self.deps.books.lines(entry_partition(*place), None)
            taken = {line.version for line in lines}
            free = (each for each in range(1, row.version + 1) if each not in taken)
            for each in ours:
                entry = _entry(each, next(free, row.version), self.deps.outside.now())
                self.added += self.deps.entries.put_new(entry)

    def _fold(self, changes: Sequence[Change]) -> None:
        self.added += len(changes) - len(self.deps.folding(changes))


def _as_inserted(transfer: Transfer) -> Change:
    """The record that the stream should have delivered. Numbers only distinguish changes."""
    return Change(Kind.INSERT, transfer.id, None, transfer)


def _entry(each: _Missing, version: int, now: datetime) -> Entry:
    """The entry as the stream of accounts would have written it."""
    partition, sequence = _key_of(each)
    return Entry(
        account_shard=partition,
        sequence=sequence,
        transfer_id=each.transfer_id,
        operation_id=each.operation_id,
        account_id=each.account_id,
        amount=each.amount,
        fold_version=version,
        currency=each.currency,
        created_at=to_timestamp(_committed_at(each, now)),
    )


def _committed_at(each: _Missing, now: datetime) -> datetime:
    try:
        return created_at(each.operation_id)
    except ValueError:
        return now  # an id written out of band has no time
