"""Reads the possible counterparts of the lines of a batch, in few round trips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import Transaction, TransactionType
from runtime.reconciliation.importers.line import ImportedLine, UnreadableLine
from runtime.reconciliation.matching.counterparts import HAS_COUNTERPART, named_by, named_by_us
from runtime.reconciliation.matching.draft import Attempt, Draft, LoadedRows
from runtime.reconciliation.matching.identities import IdentityIds, identity_ids, unreadable_id
from runtime.reconciliation.matching.recording import LinePlacement, about_of, stays
from runtime.reconciliation.matching.repository import SettlementBatchRepository
from runtime.reconciliation.matching.settled_parts import has_settled, payments_about
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Settlement,
    SettlementLine,
)

Lines = Sequence[ImportedLine | UnreadableLine]
_ABOUT_DISPUTES: Final = (LineType.DISPUTE, LineType.DISPUTE_REVERSAL)


def read_candidates(
    lines: Lines,
    places: Mapping[int, LinePlacement],
    attempt: Attempt,
    settlements: Mapping[str, Settlement],
    rows: SettlementBatchRepository,
) -> Draft:
    """A draft of all rows that evaluating `lines` may need. `places` by the lines' numbers."""
    found = LoadedRows(settlements=dict(settlements))
    draft = Draft(found, attempt)
    found.identities = rows.identities(_identities(lines, places, attempt, settlements))
    _read_known_here(lines, places, draft, rows)
    known = [(each.settlement_id, each.line) for each in found.identities.values()]
    found.lines = rows.lines(known)
    _read_related(lines, places, draft, rows)
    read = [line for line in lines if isinstance(line, ImportedLine)]
    read_about(read, list(found.lines.values()), draft, rows)
    return draft


def read_about(
    lines: Sequence[ImportedLine],
    before: Sequence[SettlementLine],
    draft: Draft,
    rows: SettlementBatchRepository,
) -> None:
    """Read counterparts of `lines`, and what stored lines `before` have settled or wait with."""
    about = [line for line in lines if line.type in HAS_COUNTERPART]
    named = chain(_named_ids(about), _ids_of_lines(before))
    draft.found.transactions = rows.transactions(named)
    _read_of_processor(about, draft, rows)
    _read_payments(about, before, draft, rows)
    _read_other_lines(draft, rows)


def _identities(
    lines: Lines,
    places: Mapping[int, LinePlacement],
    attempt: Attempt,
    settlements: Mapping[str, Settlement],
) -> Iterable[str]:
    """Keys of each line, and of an unreadable line in its place before."""
    merchant_id = attempt.merchant.id
    for line in lines:
        place = places[line.number]
        yield _ids(line, place, attempt).id
        if isinstance(line, UnreadableLine):
            continue
        for settlement_id in place.settlement_ids:
            settlement = settlements.get(settlement_id)
            if settlement is not None and _may_have_unreadable(settlement, place.file_id):
                yield unreadable_id(merchant_id, settlement_id, line.number)


def _may_have_unreadable(settlement: Settlement, file_id: str) -> bool:
    """Whether another file may have had unreadable lines. One in progress counts from later on."""
    at_work = set(settlement.file_ids) - {*settlement.added_files, file_id}
    return bool(at_work) or settlement.counts.get(LineStatus.INVALID, 0) > 0


def _ids(
    line: ImportedLine | UnreadableLine, place: LinePlacement, attempt: Attempt
) -> IdentityIds:
    return identity_ids(
        attempt.merchant.id,
        place.layout,
        place.settlement.id,
        line,
        duplicate=line.number in place.duplicates,
    )


def _read_known_here(
    lines: Lines, places: Mapping[int, LinePlacement], draft: Draft, rows: SettlementBatchRepository
) -> None:
    """For lines in another settlement already, whether they are in this one as well."""
    found, wanted = draft.found, []
    for line in lines:
        ids = _ids(line, places[line.number], draft.attempt)
        known = found.identities.get(ids.id)
        elsewhere = known is not None and known.settlement_id != places[line.number].settlement.id
        if elsewhere and ids.here is not None:
            wanted.append(ids.here)
    found.identities |= rows.identities(wanted)


def _read_related(
    lines: Lines, places: Mapping[int, LinePlacement], draft: Draft, rows: SettlementBatchRepository
) -> None:
    """Other lines about a counterpart that a changed line had settled."""
    found, about = draft.found, set[str]()
    for line in lines:
        known = found.identities.get(_ids(line, places[line.number], draft.attempt).id)
        before = None if known is None else found.lines.get((known.settlement_id, known.line))
        if before is not None and has_settled(before) and not stays(before, line):
            about |= about_of(before)
    found.about = rows.keys_about(sorted(about))
    found.lines |= rows.lines(key for keys in found.about.values() for key in keys)


def _named_ids(lines: Iterable[ImportedLine]) -> Iterable[str]:
    """Ids of transactions that lines refer to, directly or by their payments."""
    for line in lines:
        references = line.references
        if references.transaction_id is not None:
            yield references.transaction_id
        elif references.payment_id is not None:
            yield charge_transaction_id(references.payment_id)
        if line.type in _ABOUT_DISPUTES and references.payment_id is not None:
            yield charge_transaction_id(references.payment_id)


def _ids_of_lines(lines: Iterable[SettlementLine]) -> Iterable[str]:
    """Ids of the transactions that stored lines may have settled, or in whose groups they are."""
    for line in lines:
        if line.transaction_id is not None:
            yield line.transaction_id
        for payment_id in payments_about(line):
            yield charge_transaction_id(payment_id)


def _read_of_processor(
    lines: Iterable[ImportedLine], draft: Draft, rows: SettlementBatchRepository
) -> None:
    """Only for lines that refer to no transaction of ours, and to no known payment."""
    unknown = [
        line
        for line in lines
        if line.references.transaction_id is None and named_by_us(line, draft) is None
    ]
    ids = dict.fromkeys(chain.from_iterable(line.references.processor_ids for line in unknown))
    draft.found.by_processor = rows.ids_of_processor(tuple(ids))
    named = chain.from_iterable(draft.found.by_processor.values())
    draft.found.transactions |= rows.transactions(
        each for each in named if each not in draft.found.transactions
    )


def _read_payments(
    lines: Iterable[ImportedLine],
    before: Iterable[SettlementLine],
    draft: Draft,
    rows: SettlementBatchRepository,
) -> None:
    """Payments that lines change, and all transactions of those known only by payment."""
    found = draft.found
    whole = {line.payment_id for line in before if line.payment_id is not None}
    alone: set[str] = set()
    for line in lines:
        named = named_by(line, draft)
        if named is None:
            continue
        if _needs_all(line, named):
            whole.add(named.payment_id)
        elif line.fee != named.fee or line.type in _ABOUT_DISPUTES:
            alone.add(named.payment_id)
    if not whole and not alone:
        return
    found.payments = rows.payments(sorted(whole | alone))
    wanted = chain.from_iterable(
        (*found.payments[each].transaction_ids, charge_transaction_id(each))
        for each in sorted(whole & found.payments.keys())
    )
    found.transactions |= rows.transactions(
        each for each in wanted if each not in found.transactions
    )


def _needs_all(line: ImportedLine, named: Transaction) -> bool:
    """Whether a line that refers to this transaction may be about others of its payment."""
    if named.settlement_group:
        return True
    if line.type is LineType.CAPTURE:
        is_charge = named.id == charge_transaction_id(named.payment_id)
        if named.type is TransactionType.CAPTURE and is_charge:
            return False
        return named.type is TransactionType.AUTHORIZATION or not line.references.transaction_id
    refunds = (LineType.REFUND, LineType.REFUND_FAILURE)
    return line.type in refunds and named.type is not TransactionType.REFUND


def _read_other_lines(draft: Draft, rows: SettlementBatchRepository) -> None:
    """Lines of groups, and of missing transactions, with the settlements of all lines."""
    found = draft.found
    wanted = [
        (each.settlement_id, each.line)
        for transaction in found.transactions.values()
        for each in transaction.settlement_group
    ]
    wanted += [
        (each.missing_in, each.missing_line)
        for each in found.transactions.values()
        if each.missing_in is not None and each.missing_line is not None
    ]
    found.lines |= rows.lines(key for key in wanted if key not in found.lines)
    ids = {line.settlement_id for line in found.lines.values()} - found.settlements.keys()
    found.settlements |= rows.settlements(sorted(ids))
