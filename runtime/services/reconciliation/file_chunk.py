"""Judging one chunk of a settlement file, and everything that its one commit writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from runtime.domain.buckets import bucket_for
from runtime.domain.hot_accounts import accounts_of_fact
from runtime.domain.ids import new_id
from runtime.domain.instants import to_instant
from runtime.domain.ledger import settlement_legs
from runtime.domain.posting_ids import posting_operation_id, settlement_posting_id
from runtime.domain.settlement import InvalidLine, ParsedLine, Verdict, add_line, judge
from runtime.domain.settlement_lines import line_bucket, line_partition
from runtime.models.change import ChangeContext
from runtime.models.merchant import MerchantProfile
from runtime.models.settlement import (
    CurrencyTotal,
    LineStatus,
    Settlement,
    SettlementLine,
)
from runtime.models.transaction import AuditStep, Transaction, TransactionStatus
from runtime.models.transfer import Transfer, TransferStatus
from runtime.repositories.settlements import Settling

_READ_ATTRIBUTES = (
    "payment_id",
    "transaction_id",
    "amount",
    "fee",
    "net",
    "currency",
    "processed_date",
    "settlement_date",
)
"""What a stored line keeps of the line as it was read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one commit of a settlement file writes."""

    after: Settlement
    lines: tuple[SettlementLine, ...]
    settling: tuple[Settling, ...]
    token: str


@dataclass(slots=True)
class _Draft:
    ours: dict[str, Transaction]
    counts: Counter[LineStatus]
    totals: dict[str, CurrencyTotal]
    lines: list[SettlementLine] = field(default_factory=list)
    settling: list[Settling] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    settlement: Settlement
    merchant: MerchantProfile
    context: ChangeContext
    now: datetime


def chunk_of(
    lines: Sequence[ParsedLine | InvalidLine],
    ours: Mapping[str, Transaction],
    settlement: Settlement,
    merchant: MerchantProfile,
    context: ChangeContext,
    now: datetime,
) -> Chunk:
    """Judge `lines` in order; a transaction settled by one of them is a duplicate for the next."""
    run = _Run(settlement, merchant, context, now)
    draft = _Draft(dict(ours), Counter(settlement.counts), dict(settlement.totals))
    for line in lines:
        if isinstance(line, InvalidLine):
            verdict = Verdict(LineStatus.INVALID, line.reason)
        else:
            verdict = judge(line, draft.ours.get(line.transaction_id), merchant_id=merchant.id)
            if verdict.status is LineStatus.MATCHED:
                _settle(line, draft, run)
        draft.counts[verdict.status] += 1
        draft.lines.append(_stored_line(line, verdict, run))
    operation = new_id("chk", now)
    after = settlement.model_copy(
        update={
            "counts": dict(draft.counts),
            "totals": draft.totals,
            "lines_done": settlement.lines_done + len(lines),
            "last_line": lines[-1].number,
            "line_buckets": tuple(
                sorted({*settlement.line_buckets, *(line_bucket(n.number) for n in lines)})
            ),
            "updated_at": to_instant(now),
            "version": settlement.version + 1,
            "cause": operation,
        }
    )
    return Chunk(after, tuple(draft.lines), tuple(draft.settling), operation)


def _settle(line: ParsedLine, draft: _Draft, run: _Run) -> None:
    before = draft.ours[line.transaction_id]
    at = to_instant(run.now)
    taken = tuple(each.booking.debit_shard or "" for each in draft.settling)
    booking = _booking(line, before, run, taken)
    step = AuditStep(status=TransactionStatus.SETTLED, at=at, by=run.context.changed_by)
    after = before.model_copy(
        update={
            **run.context.stamp(),
            "status": TransactionStatus.SETTLED,
            "settlement_id": run.settlement.id,
            "settled_at": at,
            "unsettled_bucket": None,
            "audit_trail": (*before.audit_trail, step),
            "updated_at": at,
            "version": before.version + 1,
            "cause": booking.id,
        }
    )
    draft.ours[line.transaction_id] = after
    draft.totals = add_line(
        draft.totals, line.currency, amount=line.amount, fee=line.fee, net=line.net
    )
    draft.settling.append(Settling(before, after, booking))


def _booking(
    line: ParsedLine, transaction: Transaction, run: _Run, taken: Sequence[str]
) -> Transfer:
    """The transfer of a matched line; `taken` are debit shards that the chunk lowers already."""
    merchant, at = run.merchant, to_instant(run.now)
    transfer_id = settlement_posting_id(transaction.id)
    legs = settlement_legs(merchant.id, line.currency, line.net, line.fee)
    return Transfer(
        id=transfer_id,
        merchant_id=merchant.id,
        merchant_bucket=bucket_for(merchant.id, transfer_id, merchant.index_buckets),
        operation_id=posting_operation_id(run.now),
        **accounts_of_fact(transfer_id, legs, taken),
        legs=legs,
        amount=line.amount,
        currency=line.currency,
        status=TransferStatus.PROCESSED,
        posted_amount=line.amount,
        processed_at=at,
        payment_id=transaction.payment_id,
        settlement_id=run.settlement.id,
        created_at=at,
        updated_at=at,
        **run.context.stamp(),
    )


def _stored_line(line: ParsedLine | InvalidLine, verdict: Verdict, run: _Run) -> SettlementLine:
    settlement, merchant = run.settlement, run.merchant
    at = to_instant(run.now)
    exceptional = verdict.status is not LineStatus.MATCHED
    key = f"{settlement.id}#{line.number}"
    read = (
        {name: getattr(line, name) for name in _READ_ATTRIBUTES}
        if isinstance(line, ParsedLine)
        else {}
    )
    return SettlementLine(
        settlement_bucket=line_partition(settlement.id, line.number),
        line=line.number,
        exception_bucket=bucket_for(merchant.id, key, merchant.index_buckets)
        if exceptional
        else None,
        exception_key=f"{verdict.status}#{settlement.date}#{key}" if exceptional else None,
        settlement_id=settlement.id,
        merchant_id=merchant.id,
        status=verdict.status,
        reason=verdict.reason,
        created_at=at,
        updated_at=at,
        **read,
        **run.context.stamp(),
    )
