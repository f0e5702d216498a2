"""The settlement of a line, its earlier occurrence, and the resulting changes: in memory only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from runtime.core.timestamps import to_timestamp
from runtime.payments.posting_ids import charge_transaction_id
from runtime.payments.transaction_models import TransactionType
from runtime.reconciliation.importers.line import SETTLED, ImportedLine, UnreadableLine
from runtime.reconciliation.matching.counterparts import not_final
from runtime.reconciliation.matching.draft import Draft, key_of
from runtime.reconciliation.matching.identities import (
    identity_ids,
    is_repeated,
    line_number,
    unreadable_id,
)
from runtime.reconciliation.matching.judgement import (
    charges_of,
    judged,
    read_again,
    settled,
    try_members_again,
)
from runtime.reconciliation.matching.repository import LineKey
from runtime.reconciliation.matching.settled_parts import has_settled, payments_about
from runtime.reconciliation.settlements.deltas import is_open_exception
from runtime.reconciliation.settlements.line_keys import line_partition
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Settlement,
    SettlementFormat,
    SettlementIdentity,
    SettlementLine,
)

_READ: Final = (
    "category",
    "amount",
    "fee",
    "net",
    "currency",
    "presented_amount",
    "presented_currency",
)
"""Fields that make a repeated line a different one, besides its type."""
_KEPT: Final = ("type", *_READ, "identity", "processed_date", "settlement_date")
"""Fields of a line that are stored as read."""


@dataclass(frozen=True, slots=True)
class LinePlacement:
    """The place of a file's line: its settlement, and the file's position among its files.

    `file_settlement`: the settlement of the file's name, which has the lines without a payout.
    `duplicates`: physical lines that have the id of another line of the file.
    """

    settlement: Settlement
    file_settlement: str
    file_id: str
    layout: SettlementFormat
    duplicates: frozenset[int] = frozenset()

    @property
    def position(self) -> int:
        """How many files the settlement had before this one."""
        return self.settlement.file_ids.index(self.file_id)

    @property
    def settlement_ids(self) -> tuple[str, ...]:
        """The line's settlement, and that of the file's name if it differs."""
        return tuple(dict.fromkeys((self.settlement.id, self.file_settlement)))

    def key(self, number: int) -> LineKey:
        """The key of a physical line of the file."""
        return self.settlement.id, line_number(self.position, number)


def judge(line: ImportedLine | UnreadableLine, place: LinePlacement, draft: Draft) -> None:
    """Evaluate a line and add all its changes to the draft.

    A line from an earlier file that is matched or resolved is unchanged
    unless its content has changed; every other one is evaluated again. In whichever order two files
    are processed, the later one decides.
    """
    line = _of_its_type(line, draft)
    seen = _seen(line, place, draft)
    if seen.known is not None and seen.known.file_id >= place.file_id:
        return
    if isinstance(line, ImportedLine):
        _supersede_unreadable(line, place, draft)
    before, key = seen.before, place.key(line.number)
    if seen.elsewhere is not None:
        _supersede(seen.elsewhere, key if before is None else key_of(before), draft)
    if before is not None:
        key = key_of(before)
    draft.identities[seen.identity] = SettlementIdentity(
        id=seen.identity,
        merchant_id=draft.attempt.merchant.id,
        settlement_id=key[0],
        line=key[1],
        file_id=place.file_id,
        file_line=line.number,
        created_at=seen.known.created_at if seen.known else to_timestamp(draft.attempt.now),
    )
    if before is not None and stays(before, line):
        return
    if before is not None:
        draft.withdraw(before)
    row = _as_read(line, key, place, draft, before)
    draft.put_line(row)
    after = judged(line, row, draft, duplicate_of=seen.duplicate_of)
    draft.put_line(before if before is not None and _is_as(before, after) else after)
    for charge_id in charges_of(before, draft.line(key)):
        try_members_again(charge_id, key, draft)
    for changed in (before, seen.elsewhere):
        if changed is not None and has_settled(changed):
            _judge_others_again(changed, draft)


def _of_its_type(
    line: ImportedLine | UnreadableLine, draft: Draft
) -> ImportedLine | UnreadableLine:
    """In our own layout without types, the sign and the transaction identify a refund."""
    if isinstance(line, UnreadableLine) or line.type is not LineType.CAPTURE or line.amount >= 0:
        return line
    named = draft.transaction(line.references.transaction_id or "")
    refund = named is not None and named.type is TransactionType.REFUND
    return replace(line, type=LineType.REFUND) if refund else line


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a line: the key of its identity, and its earlier row if any.

    `elsewhere`: its row in another settlement, which this line supersedes.
    """

    identity: str
    known: SettlementIdentity | None = None
    before: SettlementLine | None = None
    elsewhere: SettlementLine | None = None
    duplicate_of: str | None = None


def _seen(line: ImportedLine | UnreadableLine, place: LinePlacement, draft: Draft) -> _Seen:
    merchant_id, here = draft.attempt.merchant.id, place.settlement.id
    duplicate = line.number in place.duplicates
    ids = identity_ids(merchant_id, place.layout, here, line, duplicate=duplicate)
    twice = "another line of the file has the same id" if duplicate else None
    known, row = _known(ids.id, draft)
    if row is None or row.settlement_id == here:
        return _Seen(ids.id, known, row, duplicate_of=twice)
    if ids.here is None:
        return _Seen(ids.id, known, elsewhere=row, duplicate_of=twice)
    known_here, row_here = _known(ids.here, draft)
    if _is_done(row):
        return _Seen(
            ids.here,
            known_here,
            row_here,
            duplicate_of=f"{row.settlement_id}, line {row.line}, is the same already",
        )
    return _Seen(ids.id, known, row_here, elsewhere=row)


def _known(identity: str, draft: Draft) -> tuple[SettlementIdentity | None, SettlementLine | None]:
    """What is stored for an identity, and its line unless that was superseded.

    An unreadable line may be corrected by one file and unreadable again in the next: that is
    another line, because a superseded one stays as it is.
    """
    known = draft.identity(identity)
    row = None if known is None else draft.line((known.settlement_id, known.line))
    return known, None if row is not None and row.status is LineStatus.SUPERSEDED else row


def _is_done(line: SettlementLine) -> bool:
    return line.status is LineStatus.MATCHED or line.resolution is not None


def stays(before: SettlementLine, line: ImportedLine | UnreadableLine) -> bool:
    """Whether a repeated line is unchanged, and needs no new evaluation.

    A link has changed the stored type and payment: a line with those before it is the same.
    """
    if isinstance(line, UnreadableLine):
        return before.status is LineStatus.INVALID and before.reason == line.reason
    linked = before.resolution.linked if before.resolution is not None else None
    types = (before.type,) if linked is None else (before.type, linked.type)
    reason = before.reason if linked is None else linked.reason
    payment_id, known = line.references.payment_id, payments_about(before)
    return (
        _is_done(before)
        and (line.status == SETTLED or reason == not_final(line).reason)
        and line.type in types
        and all(getattr(before, name) == getattr(line, name) for name in _READ)
        and (payment_id is None or not known or payment_id in known)
    )


def _is_as(before: SettlementLine, after: SettlementLine) -> bool:
    """Whether a line has the same result again, only from another file."""
    where = {"file_id": before.file_id, "file_line": before.file_line}
    return after.model_copy(update=where) == before


def _supersede(before: SettlementLine, by: LineKey, draft: Draft) -> None:
    """A later file has this line in another settlement."""
    draft.withdraw(before)
    reason = f"a later file has it in {by[0]}, line {by[1]}"
    draft.put_line(before.model_copy(update={"status": LineStatus.SUPERSEDED, "reason": reason}))


def _supersede_unreadable(line: ImportedLine, place: LinePlacement, draft: Draft) -> None:
    """An unreadable line of an earlier file, on the same physical line, can be read now."""
    for settlement in place.settlement_ids:
        known = draft.identity(unreadable_id(draft.attempt.merchant.id, settlement, line.number))
        if known is None or known.file_id >= place.file_id:
            continue
        before = draft.line((known.settlement_id, known.line))
        if before is not None and before.status is LineStatus.INVALID:
            _supersede(before, place.key(line.number), draft)


def _as_read(
    line: ImportedLine | UnreadableLine,
    key: LineKey,
    place: LinePlacement,
    draft: Draft,
    before: SettlementLine | None,
) -> SettlementLine:
    """The row of a line without a verdict."""
    attempt = draft.attempt
    at = to_timestamp(attempt.now)
    read: dict[str, Any] = {"file_id": place.file_id, "file_line": line.number}
    if isinstance(line, ImportedLine):
        references = line.references
        read |= {name: getattr(line, name) for name in _KEPT}
        read |= {
            "payment_id": references.payment_id,
            "transaction_id": references.transaction_id,
            "dispute_id": references.dispute_id,
            "processor_ids": references.processor_ids,
        }
    else:
        read |= dict.fromkeys((*_KEPT, "payment_id", "transaction_id", "dispute_id"))
    if before is not None:
        return before.model_copy(update={**read, "resolution": None, "expected": None})
    return SettlementLine(
        settlement_bucket=line_partition(*key),
        line=key[1],
        settlement_id=key[0],
        status=LineStatus.INVALID,
        merchant_id=attempt.merchant.id,
        created_at=at,
        updated_at=at,
        **read,
        **attempt.context.stamp(),
    )


_MAY_MATCH_NOW: Final = {
    LineType.DISPUTE: (LineStatus.AMOUNT_MISMATCH, LineStatus.FEE_MISMATCH, LineStatus.DUPLICATE),
    LineType.DISPUTE_REVERSAL: (
        LineStatus.AMOUNT_MISMATCH,
        LineStatus.FEE_MISMATCH,
        LineStatus.DUPLICATE,
    ),
    LineType.CAPTURE: (LineStatus.DUPLICATE,),
    LineType.REFUND: (LineStatus.DUPLICATE,),
    LineType.REFUND_FAILURE: (LineStatus.DUPLICATE,),
}
"""Exceptions caused by another line, which may match once that one has changed."""


def about_of(line: SettlementLine) -> set[str]:
    """Ids of transactions with other lines that a line may conflict with."""
    charge = None if line.payment_id is None else charge_transaction_id(line.payment_id)
    return {name for name in (line.transaction_id, charge) if name is not None}


def _judge_others_again(before: SettlementLine, draft: Draft) -> None:
    """What a line had settled before it changed may be the counterpart of others."""
    about = about_of(before)
    keys = {key for name in about for key in draft.found.about.get(name, ())}
    keys |= {key for key, row in draft.lines.items() if row.transaction_id in about}
    for key in sorted(keys):
        row = draft.line(key)
        if row is None or key == key_of(before) or not _may_match_now(row):
            continue
        draft.withdraw(row)
        after = settled(read_again(row), row, draft)
        draft.put_line(row if _is_as(row, after) else after)


def _may_match_now(row: SettlementLine) -> bool:
    if row.status is LineStatus.DUPLICATE and is_repeated(row.identity or ""):
        return False
    return (
        row.type is not None
        and row.status in _MAY_MATCH_NOW.get(row.type, ())
        and is_open_exception(row)
    )
