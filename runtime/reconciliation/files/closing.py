"""Closing a settlement file: its sums are added to its settlements once, and payouts explained.

Each settlement is one commit, which records that the file is in its sums. So closing twice,
concurrently, or again after a crash gives the same result, and two files of one settlement do not
interfere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtime.core.errors import StaleWrite
from runtime.core.money import format_amount
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime
from runtime.idempotency.optimistic_update import retry_stale
from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.dependencies import (
    NoTimeLeft,
    ReconciliationDependencies,
    Step,
    stepped,
)
from runtime.reconciliation.files.models import FileStatus, SettlementFile
from runtime.reconciliation.files.queue import CloseMessage
from runtime.reconciliation.matching.draft import Attempt, Draft, LoadedRows, key_of
from runtime.reconciliation.matching.posting import indexed, writes_of
from runtime.reconciliation.settlements.deltas import (
    CONTROL_TOTALS,
    by_settlement,
    is_open_exception,
    summed_counts,
    with_delta,
)
from runtime.reconciliation.settlements.models import (
    ExpectedAmounts,
    LineStatus,
    Settlement,
    SettlementDelta,
    SettlementLine,
    SettlementStatus,
)
from runtime.reconciliation.settlements.writes import SettlementWrites

MAX_TRIES: Final = 10
"""Attempts at a settlement that others change meanwhile."""


def close_file(file_id: str, request_id: str, dependencies: ReconciliationDependencies) -> None:
    """Add the file's sums to each of its settlements that lacks them, and end the file.

    If time is nearly over it requests another run. Raises NoTimeLeft if this one closed
    nothing, StaleWrite, Unavailable.
    """
    file = dependencies.chunks.file(file_id)
    if file is None or file.status is not FileStatus.PROCESSING or file.chunks_done < file.chunks:
        return
    merchant = dependencies.merchants.require(file.merchant_id)
    deltas = by_settlement(chunk.deltas for chunk in dependencies.chunks.chunks(file))
    settlements: list[Settlement] = []
    for settlement_id in sorted(deltas):
        if dependencies.must_stop():
            if not settlements:
                raise NoTimeLeft(f"{file.id}: no settlement was closed")
            dependencies.queue.send([CloseMessage(file_id=file.id)], file.merchant_id)
            return
        settlements.append(
            _closed(settlement_id, deltas[settlement_id], file, merchant, request_id, dependencies)
        )
    _end(file, settlements, request_id, dependencies)


def _closed(
    settlement_id: str,
    delta: SettlementDelta,
    file: SettlementFile,
    merchant: MerchantProfile,
    request_id: str,
    dependencies: ReconciliationDependencies,
) -> Settlement:
    """The settlement with the file in its sums. Raises StaleWrite if others keep changing it."""

    def attempt() -> Settlement:
        before = dependencies.chunks.settlement(settlement_id)
        assert before is not None, f"{settlement_id} has lines of {file.id} and no row"
        if file.id in before.added_files:
            return before
        step = Step.begin("cls", request_id, dependencies.outside)
        after = with_delta(before, delta, file.id)
        lines = dependencies.chunks.lines(settlement_id, after.payout_lines)
        after, changed = explained(after, lines, merchant)
        after = _stepped(after, step)
        settling = _payouts_of(changed, after, merchant, step, dependencies.outside)
        dependencies.chunks.close(before, after, settling, token=step.token)
        return after

    return retry_stale(
        MAX_TRIES,
        attempt,
        StaleWrite("settlements", f"{settlement_id} kept changing while it was closed"),
    )


def explained(
    settlement: Settlement, lines: Iterable[SettlementLine], merchant: MerchantProfile
) -> tuple[Settlement, list[tuple[SettlementLine, SettlementLine]]]:
    """The settlement and its payout lines that change, before and after.

    The first payout line of each currency represents its remainder: it is an amount mismatch while
    that is not zero, and matched again when it is.
    """
    changed: list[tuple[SettlementLine, SettlementLine]] = []
    seen: set[str] = set()
    for line in lines:
        currency = line.currency
        if currency is None or currency in seen or line.status not in CONTROL_TOTALS:
            continue
        seen.add(currency)
        judged = _judged(line, settlement.remainder.get(currency, 0))
        if judged is line:
            continue
        after = indexed(judged, settlement.date, merchant.index_buckets)
        changed.append((line, after))
        counts = summed_counts(settlement.counts, {line.status: -1})
        opened = is_open_exception(after) - is_open_exception(line)
        settlement = settlement.model_copy(
            update={
                "counts": summed_counts(counts, {after.status: 1}),
                "open_exceptions": settlement.open_exceptions + opened,
            }
        )
    return settlement, changed


def _judged(line: SettlementLine, remainder: int) -> SettlementLine:
    """The payout line according to its remainder; the same one if nothing changes."""
    amount, currency = line.amount, line.currency
    assert amount is not None, "a payout line was read"
    assert currency is not None, "a payout line was read"
    if remainder == 0:
        if line.status is not LineStatus.AMOUNT_MISMATCH:
            return line
        return line.model_copy(
            update={
                "status": LineStatus.MATCHED,
                "reason": None,
                "expected": None,
                "resolution": None,
            }
        )
    expected = ExpectedAmounts(amount=amount + remainder, fee=line.fee or 0, currency=currency)
    if line.status is LineStatus.AMOUNT_MISMATCH and line.expected == expected:
        return line
    return line.model_copy(
        update={
            "status": LineStatus.AMOUNT_MISMATCH,
            "reason": (
                f"the lines of this payout add up to {format_amount(-expected.amount, currency)}, "
                f"the payout is {format_amount(-amount, currency)}: "
                f"{format_amount(remainder, currency)} is not explained"
            ),
            "expected": expected,
            "resolution": None,
        }
    )


def _stepped(settlement: Settlement, step: Step) -> Settlement:
    """The settlement, completed unless another of its files is still being processed."""
    waits = set(settlement.file_ids) - set(settlement.added_files)
    if waits:
        status = SettlementStatus.PROCESSING
    elif settlement.open_exceptions:
        status = SettlementStatus.COMPLETED_WITH_EXCEPTIONS
    else:
        status = SettlementStatus.COMPLETED
    changes = {"status": status, "completed_at": None if waits else step.at}
    return settlement.next_version(step.at, changes, step.context)


def _payouts_of(
    changed: Iterable[tuple[SettlementLine, SettlementLine]],
    settlement: Settlement,
    merchant: MerchantProfile,
    step: Step,
    outside: Outside,
) -> SettlementWrites:
    """The payout lines that change. A resolution that booked a remainder is reversed."""
    draft = Draft(LoadedRows(), Attempt(merchant, step.context, to_datetime(step.at), outside))
    draft.found.settlements = {settlement.id: settlement}
    for before, after in changed:
        draft.found.lines[key_of(before)] = before
        draft.put_line(after)
        draft.take_back(key_of(before))
    return writes_of(draft, step.token)


def _end(
    file: SettlementFile,
    settlements: list[Settlement],
    request_id: str,
    dependencies: ReconciliationDependencies,
) -> None:
    """The file's own status; another run may have ended it already.

    It is that of the settlements which belong to the file. Others only lost an exception to it.
    """
    settlements = [each for each in settlements if file.id in each.file_ids]
    step = Step.begin("end", request_id, dependencies.outside)
    ended = stepped(
        file,
        step,
        status=_status_of(settlements),
        settlement_ids=tuple(settlement.id for settlement in settlements),
        completed_at=step.at,
    )
    try:
        dependencies.chunks.advance(file, ended, token=step.token)
    except StaleWrite:
        now = dependencies.chunks.file(file.id)
        if now is None or now.status is FileStatus.PROCESSING:
            raise
    logger.info("reconciled", file=file.id, status=ended.status, lines=file.lines)


def _status_of(settlements: Iterable[Settlement]) -> FileStatus:
    if any(settlement.open_exceptions for settlement in settlements):
        return FileStatus.COMPLETED_WITH_EXCEPTIONS
    return FileStatus.COMPLETED
