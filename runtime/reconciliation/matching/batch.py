"""Settling lines of a chunk: as many as fit into one transaction are evaluated and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from runtime.core.change_context import ChangeContext
from runtime.core.errors import Internal, Unavailable
from runtime.core.outside import Outside
from runtime.core.scope import Scope
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.store import MAX_TRANSACTION_ITEMS, Store
from runtime.idempotency.optimistic_update import retry_stale
from runtime.ledger.hot_accounts.rules import DEBIT_SHARDS
from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.files.models import SettlementChunk, SettlementFile
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.matching.candidates import Lines, read_candidates
from runtime.reconciliation.matching.draft import Attempt, Draft
from runtime.reconciliation.matching.identities import settlement_id
from runtime.reconciliation.matching.posting import writes_of
from runtime.reconciliation.matching.recording import LinePlacement, judge
from runtime.reconciliation.matching.repository import BatchContended, SettlementBatchRepository
from runtime.reconciliation.settlements.deltas import combined
from runtime.reconciliation.settlements.models import (
    Settlement,
    SettlementDelta,
    SettlementFormat,
    SettlementStatus,
)
from runtime.reconciliation.settlements.writes import SettlementWrites

MAX_BATCH_LINES: Final = 33
"""Lines that one batch reads for: a matched one writes itself, its identity and its transaction, so
that hardly any is read in vain."""
MAX_WRITES: Final = MAX_TRANSACTION_ITEMS - 1
"""Writes of a batch beside the chunk's checkpoint."""
MAX_TRIES: Final = 20
"""Attempts at a batch whose rows others change meanwhile; each one that fails means that another
worker or request has got on."""


@dataclass(frozen=True)
class BatchDependencies:
    """Dependencies of recording a batch."""

    store: Store
    outside: Outside


def record_batch(
    lines: Lines,
    chunk: SettlementChunk,
    file: SettlementFile,
    merchant: MerchantProfile,
    context: ChangeContext,
    dependencies: BatchDependencies,
) -> SettlementChunk:
    """Evaluate and write as many of `lines`, in order, as one transaction holds; at least one.

    The same commit contains what they settle and post, and the chunk's checkpoint and deltas,
    so that a crash neither loses nor repeats any of it. Returns the chunk as it was written: its
    `lines_done` has grown by the number of lines taken.

    Raises StaleWrite when another worker has passed the chunk's checkpoint, Unavailable.
    """
    assert lines, f"{chunk.id} has no lines left"
    rows = SettlementBatchRepository(dependencies.store, Scope(merchant.id))
    some = lines[:MAX_BATCH_LINES]

    def attempt() -> SettlementChunk:
        attempt = Attempt(merchant, context, dependencies.outside.now(), dependencies.outside)
        places, settlements = _places(some, chunk, file, attempt, rows)
        draft = read_candidates(some, places, attempt, settlements, rows)
        batch = _fill(some, places, chunk, draft)
        rows.commit(chunk, batch.after, batch.writes, token=batch.after.cause)
        return batch.after

    return retry_stale(
        MAX_TRIES,
        attempt,
        Unavailable(f"Rows of {chunk.id} kept changing while its lines were judged"),
        stale=BatchContended,
    )


@dataclass(frozen=True, slots=True)
class _Batch:
    after: SettlementChunk
    writes: SettlementWrites


def _fill(
    lines: Lines, places: Mapping[int, LinePlacement], chunk: SettlementChunk, draft: Draft
) -> _Batch:
    """Evaluate lines as long as their changes fit into the transaction."""
    now = draft.attempt.now
    operation = draft.attempt.new_id("stl")
    taken = 0
    for line in lines:
        further = draft.copy()
        judge(line, places[line.number], further)
        if taken and not further.size().fits(MAX_WRITES):
            break
        draft, taken = further, taken + 1
    writes = writes_of(draft, operation, first_shard=chunk.number % DEBIT_SHARDS)
    if len(writes.rendered()) > MAX_WRITES:
        raise Internal(f"line {lines[0].number} of {chunk.file_id} does not fit one transaction")
    seen = {places[line.number].settlement.id: SettlementDelta() for line in lines[:taken]}
    deltas = dict(chunk.deltas)
    for settlement, delta in (*seen.items(), *writes.deltas.items()):
        deltas[settlement] = combined(deltas.get(settlement, SettlementDelta()), delta)
    after = chunk.model_copy(
        update={
            "lines_done": chunk.lines_done + taken,
            "deltas": deltas,
            "version": chunk.version + 1,
            "updated_at": to_timestamp(now),
            "cause": operation,
        }
    )
    return _Batch(after, writes)


# -------------------------------------------------------------------- settlements


def _places(
    lines: Lines,
    chunk: SettlementChunk,
    file: SettlementFile,
    attempt: Attempt,
    rows: SettlementBatchRepository,
) -> tuple[dict[int, LinePlacement], dict[str, Settlement]]:
    """The settlement of each line, by its number. Creates missing settlements."""
    layout = file.format
    assert layout is not None, f"{file.id} was not planned"
    ids = {
        reference: settlement_id(attempt.merchant.id, layout, reference, file.name)
        for reference in (None, *(line.payout_reference for line in lines))
    }
    settlements = rows.settlements(ids.values())
    for line in lines:
        known = settlements.get(ids[line.payout_reference])
        if known is None or file.id not in known.file_ids:
            joined = _joined(ids[line.payout_reference], known, line, file, attempt, rows)
            settlements[joined.id] = joined
    duplicates = frozenset(chunk.duplicates)
    places = {
        line.number: LinePlacement(
            settlements[ids[line.payout_reference]], ids[None], file.id, layout, duplicates
        )
        for line in lines
    }
    return places, settlements


def _joined(
    identifier: str,
    known: Settlement | None,
    line: ImportedLine | UnreadableLine,
    file: SettlementFile,
    attempt: Attempt,
    rows: SettlementBatchRepository,
) -> Settlement:
    """The settlement with this file among its files. Raises Unavailable."""
    for _ in range(MAX_TRIES):
        token = attempt.new_id("opn")
        if known is None:
            wanted = _new_settlement(identifier, line, file, attempt)
            if rows.open(wanted, token=token) is not None:
                return wanted
        elif file.id in known.file_ids:
            return known
        else:
            wanted = _with_file(known, file, attempt)
            if rows.join(known, wanted, token=token):
                return wanted
        known = rows.settlements([identifier])[identifier]
    raise Unavailable(f"{identifier} kept changing while {file.id} joined it")


def _new_settlement(
    identifier: str, line: ImportedLine | UnreadableLine, file: SettlementFile, attempt: Attempt
) -> Settlement:
    at = to_timestamp(attempt.now)
    dates = (line.settlement_date, line.processed_date) if isinstance(line, ImportedLine) else ()
    return Settlement(
        id=identifier,
        merchant_id=attempt.merchant.id,
        date=next((day for day in (file.date, *dates) if day), at[:10]),
        status=SettlementStatus.PROCESSING,
        format=file.format or SettlementFormat.CANONICAL,
        payout_reference=line.payout_reference,
        source=file.key,
        sha256=file.sha256 or "",
        file_ids=(file.id,),
        created_at=at,
        updated_at=at,
        **attempt.context.stamp(),
    )


def _with_file(known: Settlement, file: SettlementFile, attempt: Attempt) -> Settlement:
    changes = {
        "cause": attempt.new_id("jon"),
        "status": SettlementStatus.PROCESSING,
        "completed_at": None,
        "file_ids": (*known.file_ids, file.id),
    }
    return known.next_version(to_timestamp(attempt.now), changes, attempt.context)
