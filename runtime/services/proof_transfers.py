"""Transfers against entries: first by fingerprints, then one by one where those differ.

Both sides of a bucket are sums of fingerprints, so agreement costs no look-up and no memory. Only
buckets that differ are read again: their transfers with the entries of each, and their entries for
transfers that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator

from runtime.domain.proof import CheckName, bucket_of, is_newer, is_posting, postings
from runtime.domain.proof_rows import BalanceRow, Line
from runtime.models.entry import entry_partition
from runtime.repositories.books import TransferFacts, is_number_guard
from runtime.repositories.store import MAX_TRANSACTION_ITEMS
from runtime.services.proof_work import MAX_LATE, LateItem, Work


def read_transfers(work: Work) -> None:
    """Fingerprint what every transfer up to the cut has changed. Raises OutOfTime, StaleWrite."""
    state = work.state
    for page in work.books.transfers(work.segment, state.cursor):
        for row in page.rows:
            state.cursor = {"id": row.id}
            work.count()
            state.findings.count(CheckName.TRANSFER_ENTRIES)
            if is_newer(row.operation_id, work.run.cut_mark):
                continue
            nets = _postings(row)
            if nets is None:
                expected = "legs as posted"
                found = f"{row.posted_amount} of {sum(leg.amount for leg in row.legs)}"
                state.findings.violated(CheckName.TRANSFER_ENTRIES, row.id, expected, found)
            for account_id, amount in (nets or {}).items():
                state.tally.post(row.id, row.operation_id, account_id, amount)
        work.step()
    work.finish()


def drill_transfers(work: Work) -> None:
    """Look up the entries of each transfer in the buckets that differ; wait for late ones."""
    state, differing = work.state, frozenset(work.run.differing)
    for page in work.books.transfers(work.segment, state.cursor):
        for row in page.rows:
            state.cursor = {"id": row.id}
            if bucket_of(row.id) in differing and not is_newer(row.operation_id, work.run.cut_mark):
                work.count()
                _compare(row, work, since=work.now())
                while len(state.late) >= MAX_LATE:
                    _revisit(work)
        work.step()
    while state.late:
        _revisit(work)
    work.finish()


def drill_entries(work: Work) -> None:
    """Find the entries in the buckets that differ whose transfers do not exist."""
    state, differing = work.state, frozenset(work.run.differing)
    for page in work.books.accounts(work.segment, state.cursor):
        for row in page.rows:
            state.cursor = {"id": row.id, "shard": row.shard}
            if is_number_guard(row):
                continue
            work.count()
            for batch in _batches(work, row, differing):
                _judge_orphans(batch, row.currency, work)
        work.step()
    work.finish()


def _postings(row: TransferFacts) -> dict[str, int] | None:
    return postings(row.id, row.operation_id, row.status, row.legs, row.posted_amount)


def _revisit(work: Work) -> None:
    """Try the late transfers once more; what is out of patience is judged."""
    state = work.state
    waiting, state.late = state.late, []
    rows = work.books.transfers_by_id([item.id for item in waiting])
    for item in waiting:
        if item.id in rows:
            _compare(rows[item.id], work, since=item.seen_at)
    if state.late:
        work.nap()


def _compare(row: TransferFacts, work: Work, since: float) -> None:
    """One transfer with its entries. One that lacks some is looked at again while patient."""
    expected = _postings(row) or {}
    found = _found(row, work)
    if work.is_patient(since) and any(account not in found for account in expected):
        work.state.late.append(LateItem(id=row.id, seen_at=since))
        return
    _require_rows([line for lines in found.values() for line in lines], row.currency, work)
    sums = work.state.tally.sums(row.currency)
    findings = work.state.findings
    for account_id in expected.keys() | found.keys():
        wanted, lines = expected.get(account_id, 0), found.get(account_id, [])
        amount = sum(line.amount for line in lines)
        sums.unexplained += amount - wanted
        if not lines:
            findings.violated(
                CheckName.TRANSFER_ENTRIES, row.id, f"{wanted} in {account_id}", "no entry"
            )
        elif amount != wanted or len(lines) > 1:
            findings.violated(CheckName.TRANSFER_ENTRIES, lines[0].name, wanted, amount)


def _require_rows(lines: list[Line], currency: str, work: Work) -> None:
    """An entry that the first phase did not meet may stand for a row that somebody deleted."""
    places = {line.name: line.account_shard.rpartition("#")[::2] for line in lines}
    rows = work.books.rows(list(places.values()))
    for line in lines:
        row = rows.get(places[line.name])
        if row is not None and row.version >= line.version:
            continue
        work.state.tally.sums(currency).unexplained -= line.amount
        found = "no such row" if row is None else f"version {row.version}"
        work.state.findings.violated(
            CheckName.ACCOUNT_ENTRIES, line.account_shard, f"version {line.version}", found
        )


def _found(row: TransferFacts, work: Work) -> dict[str, list[Line]]:
    """The transfer's entries that move money, by the account in whose partition they stand."""
    found: dict[str, list[Line]] = {}
    for line in work.books.lines_of(row):
        if not is_posting(line.operation_id, line.amount):
            continue
        if is_newer(line.operation_id, work.run.cut_mark):
            continue
        found.setdefault(line.account_shard.rpartition("#")[0], []).append(line)
    return found


def _batches(work: Work, row: BalanceRow, differing: frozenset[int]) -> Iterator[list[Line]]:
    """Entries of one row that may lack their transfer, as many at once as are looked up."""
    batch: list[Line] = []
    for line in work.books.lines(entry_partition(row.id, row.shard), None):
        if line.transfer_id is None or bucket_of(line.transfer_id) not in differing:
            continue
        if line.version > row.version or is_newer(line.operation_id, work.run.cut_mark):
            continue
        if is_posting(line.operation_id, line.amount):
            batch.append(line)
        if len(batch) == MAX_TRANSACTION_ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


def _judge_orphans(lines: list[Line], currency: str, work: Work) -> None:
    transfers = work.books.transfers_by_id([line.transfer_id or "" for line in lines])
    for line in lines:
        if line.transfer_id in transfers:
            continue  # compared with its transfer
        work.state.tally.sums(currency).unexplained += line.amount
        work.state.findings.violated(
            CheckName.TRANSFER_ENTRIES, line.name, f"transfer {line.transfer_id}", "none"
        )
