"""Drills into open holds: accounts whose held amounts differ from their open holds, and vice versa.

The first two phases have added up the held amounts of account rows and of open holds, by account
and at the cut. Only accounts in buckets where the sums differ are examined here.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS
from runtime.ledger.accounts.models import PROFILE_SHARD
from runtime.ledger.entries.models import entry_partition
from runtime.ledger.rules import TRANSFER_PREFIX
from runtime.verification.accounts.rules import BalanceRow, Line
from runtime.verification.books_repository import TransferFacts, is_number_guard
from runtime.verification.changes.notes import Subject
from runtime.verification.holds.rules import NOTHING_HELD, Held, held_by, was_open
from runtime.verification.rules import CheckName, Window, bucket_of, is_newer
from runtime.verification.segments import MAX_LATE, LateItem, Work


def held_of(transfer: TransferFacts, cut_mark: str) -> dict[str, Held]:
    """Held amounts per account at the cut; empty unless the transfer was an open hold."""
    if not was_open(transfer.id, transfer.operation_id, transfer.status, cut_mark):
        return {}
    return held_by(transfer.legs, () if transfer.held_in_counted else transfer.folded_accounts)


def held_change(transfer: TransferFacts, window: Window) -> dict[str, Held]:
    """Change of the held amounts per account in the window; in a full run those at the cut."""
    change = held_of(transfer, window.cut)
    if window.since is not None:
        for account_id, held in held_of(transfer, window.since).items():
            before = change.get(account_id, NOTHING_HELD)
            change[account_id] = Held(before.out - held.out, before.coming - held.coming)
    return change


# -------------------------------------------------------------------- accounts


def drill_held(work: Work) -> None:
    """Add up the open holds of each account of the differing buckets. Raises OutOfTime, StaleWrite.

    The holds of an account are found by its entries. Late entries are waited for.
    """
    state, differing = work.state, frozenset(work.run.differing_holds)
    for page in work.pages.accounts(state.cursor):
        for row in page.rows:
            state.cursor = {"id": row.id, "shard": row.shard}
            work.count()
            if row.shard != PROFILE_SHARD or is_number_guard(row):
                continue
            due = bucket_of(row.id) in differing or _is_direct(row.id, work)
            if due and _differs(row, work):
                state.late.append(LateItem(id=row.id))
                while len(state.late) >= MAX_LATE:
                    _revisit_accounts(work)
        work.step()
    while state.late:
        _revisit_accounts(work)
    work.finish()


def _is_direct(account_id: str, work: Work) -> bool:
    """Whether the account or one of its holds changed late, or outside the application."""
    return work.is_suspect(Subject.HOLDERS, account_id) or work.is_suspect(
        Subject.ROWS, entry_partition(account_id, PROFILE_SHARD)
    )


def _differs(row: BalanceRow, work: Work) -> bool:
    found, expected = _compared(row, work)
    return found != expected


def _compared(row: BalanceRow, work: Work) -> tuple[Held, Held | None]:
    """Held amounts of the row at the cut, and those of its open holds (None: entries are late)."""
    found = Held(row.held_out, row.held_in)
    expected, last = NOTHING_HELD, 0
    batch: list[Line] = []
    for line in work.books.lines(entry_partition(row.id, row.shard), None):
        if line.version > row.version:
            break
        last = line.version
        if is_newer(line.operation_id, work.run.cut_mark):
            found = Held(found.out - line.held_out, found.coming - line.held_in)
        elif line.transfer_id == line.operation_id and (line.held_out or line.held_in):
            batch.append(line)
        if len(batch) >= MAX_TRANSACTION_ITEMS:
            expected, batch = _plus(expected, _held(row.id, batch, work)), []
    expected = _plus(expected, _held(row.id, batch, work))
    return found, expected if last == row.version else None


def _held(account_id: str, begun: Sequence[Line], work: Work) -> Held:
    ids = [line.transfer_id for line in begun if line.transfer_id is not None]
    transfers = work.books.transfers_by_id(
        [each for each in ids if each.startswith(TRANSFER_PREFIX)]
    )
    total = NOTHING_HELD
    for transfer in transfers.values():
        held = held_of(transfer, work.run.cut_mark).get(account_id, NOTHING_HELD)
        total = _plus(total, held)
    return total


def _plus(one: Held, other: Held) -> Held:
    return Held(one.out + other.out, one.coming + other.coming)


def _revisit_accounts(work: Work) -> None:
    still_late: list[LateItem] = []
    rows = work.books.rows([(item.id, PROFILE_SHARD) for item in work.state.late])
    for item in work.state.late:
        row = rows.get((item.id, PROFILE_SHARD))
        if row is None:
            continue  # the first phase has reported the missing row
        found, expected = _compared(row, work)
        since = work.waiting_since(item.missed_since)
        if found != expected and work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
        elif expected is not None:
            _name(row, found, expected, work)
    work.state.late = still_late
    if still_late:
        work.pause()


def _name(row: BalanceRow, found: Held, expected: Held, work: Work) -> None:
    """Report each side that differs. The first phase has reported entries that never arrived."""
    sides = (("held_out", expected.out, found.out), ("held_in", expected.coming, found.coming))
    for side, right, there in sides:
        if right != there:
            name = f"{row.id}#{row.shard} {side}"
            work.state.findings.violated(CheckName.OPEN_HOLDS, name, right, there)


# -------------------------------------------------------------------- holds


def drill_holds(work: Work) -> None:
    """Find open holds that are missing in the entries of an account of the differing buckets.

    Raises OutOfTime, StaleWrite.
    """
    state = work.state
    for page in work.pages.transfers(state.cursor):
        for transfer in page.rows:
            state.cursor = {"id": transfer.id}
            work.count()
            if _unknown(transfer, work):
                state.late.append(LateItem(id=transfer.id))
                while len(state.late) >= MAX_LATE:
                    _revisit_holds(work)
        work.step()
    while state.late:
        _revisit_holds(work)
    work.finish()


def _unknown(transfer: TransferFacts, work: Work) -> dict[str, tuple[Held, Held]]:
    """Accounts whose entries differ from the hold: the held amounts, and those in the entries."""
    differing = frozenset(work.run.differing_holds)
    direct = work.is_suspect(Subject.TRANSFERS, transfer.id) or work.run.window.is_older(
        transfer.operation_id
    )
    held = {
        account: each
        for account, each in held_of(transfer, work.run.cut_mark).items()
        if direct or bucket_of(account) in differing
    }
    if not held:
        return {}
    shown = dict.fromkeys(held, NOTHING_HELD)
    for line in work.books.lines_of(transfer):
        if line.operation_id == transfer.id and line.account_id in shown:
            shown[line.account_id] = Held(line.held_out, line.held_in)
    return {
        account: (each, shown[account]) for account, each in held.items() if each != shown[account]
    }


def _revisit_holds(work: Work) -> None:
    still_late: list[LateItem] = []
    transfers = work.books.transfers_by_id([item.id for item in work.state.late])
    for item in work.state.late:
        transfer = transfers.get(item.id)
        unknown = _unknown(transfer, work) if transfer is not None else {}
        since = work.waiting_since(item.missed_since)
        if unknown and work.in_grace_period(since):
            still_late.append(LateItem(id=item.id, missed_since=since))
            continue
        for account, (held, shown) in unknown.items():
            work.state.findings.violated(
                CheckName.OPEN_HOLDS,
                item.id,
                f"{held.out} held out and {held.coming} held in on {account}",
                f"entries of {shown.out} and {shown.coming}",
            )
    work.state.late = still_late
    if still_late:
        work.pause()
