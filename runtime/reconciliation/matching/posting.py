"""From a draft to what one commit writes: rows, and a transfer per settlement and currency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.record import Record
from runtime.ledger.booking import FactPosting
from runtime.ledger.rules import TRANSFER_PREFIX
from runtime.ledger.transfers.models import Transfer
from runtime.payments.posting_ids import POSTING_OPERATION
from runtime.reconciliation.matching.draft import Attempt, Draft
from runtime.reconciliation.matching.flows import batch_legs
from runtime.reconciliation.matching.repository import LineKey
from runtime.reconciliation.settlements.deltas import combined, is_open_exception, of_change
from runtime.reconciliation.settlements.line_keys import exception_bucket, exception_key
from runtime.reconciliation.settlements.models import (
    Flows,
    LineBooking,
    SettlementDelta,
    SettlementLine,
)
from runtime.reconciliation.settlements.writes import SettlementWrites

RecordT = TypeVar("RecordT", bound=Record)


def writes_of(draft: Draft, cause: str, *, first_shard: int | None = None) -> SettlementWrites:
    """All changes of a draft. `cause`: the operation recorded in the changed rows.

    `first_shard`: the debit shard of the receivable to try first, so that concurrent workers
    do not conflict.
    """
    transfers, bookings = _transfers(draft, first_shard)
    lines = _lines(draft, cause, bookings)
    deltas: dict[str, SettlementDelta] = {}
    for before, after in lines:
        delta = of_change(before, after)
        known = deltas.get(after.settlement_id)
        deltas[after.settlement_id] = delta if known is None else combined(known, delta)
    found = draft.found
    return SettlementWrites(
        lines=tuple(lines),
        identities=tuple(
            (found.identities.get(name), after) for name, after in draft.identities.items()
        ),
        transactions=_changed(found.transactions, draft.transactions, draft.attempt, cause),
        payments=_changed(found.payments, draft.payments, draft.attempt, cause),
        transfers=transfers,
        deltas=deltas,
    )


def posting(
    settlement_id: str,
    currency: str,
    lines: Mapping[int, Flows],
    attempt: Attempt,
    *,
    taken: Iterable[str] = (),
    first_shard: int | None = None,
) -> Transfer:
    """The transfer that books these lines of a settlement, by number, in one currency.

    Its amount is that of its largest leg. `taken`: debit shards that the commit already debits.
    """
    merchant = attempt.merchant
    transfer_id = attempt.new_id(TRANSFER_PREFIX.rstrip("_"))
    legs = batch_legs(lines.values(), merchant.id, currency)
    fact = FactPosting(
        id=transfer_id,
        operation_id=attempt.new_id(POSTING_OPERATION),
        currency=currency,
        legs=legs,
        amount=max(leg.amount for leg in legs),
        settlement_id=settlement_id,
        settlement_lines=tuple(sorted(lines)),
    )
    return fact.transfer(
        merchant, attempt.now, attempt.context, taken=taken, first_shard=first_shard
    )


def indexed(line: SettlementLine, day: str, index_buckets: int) -> SettlementLine:
    """The line, listed as an exception if it needs a decision. `day`: its settlement's."""
    if not is_open_exception(line):
        return line.model_copy(update={"exception_bucket": None, "exception_key": None})
    where = (line.settlement_id, line.line)
    return line.model_copy(
        update={
            "exception_bucket": exception_bucket(line.merchant_id, *where, index_buckets),
            "exception_key": exception_key(line.status, day, *where),
        }
    )


def _transfers(
    draft: Draft, first_shard: int | None
) -> tuple[tuple[Transfer, ...], dict[LineKey, list[LineBooking]]]:
    """One transfer per settlement and currency, and each line's part of it."""
    parts: dict[tuple[str, str], dict[int, Flows]] = defaultdict(dict)
    for (settlement_id, number), by_currency in draft.booked.items():
        for currency, flows in by_currency.items():
            if any(flows.model_dump().values()):
                parts[settlement_id, currency][number] = flows
    transfers: list[Transfer] = []
    bookings: dict[LineKey, list[LineBooking]] = defaultdict(list)
    for (settlement_id, currency), lines in sorted(parts.items()):
        taken = [each.debit_shard for each in transfers if each.debit_shard is not None]
        transfer = posting(
            settlement_id, currency, lines, draft.attempt, taken=taken, first_shard=first_shard
        )
        transfers.append(transfer)
        for number, flows in lines.items():
            bookings[settlement_id, number].append(
                LineBooking(transfer_id=transfer.id, currency=currency, flows=flows)
            )
    return tuple(transfers), bookings


def _lines(
    draft: Draft, cause: str, bookings: Mapping[LineKey, list[LineBooking]]
) -> list[tuple[SettlementLine | None, SettlementLine]]:
    found: list[tuple[SettlementLine | None, SettlementLine]] = []
    for key in dict.fromkeys((*draft.lines, *bookings)):
        before, after = draft.found.lines.get(key), draft.line(key)
        assert after is not None, f"{key} is booked and was not read"
        settlement = draft.found.settlements[after.settlement_id]
        after = after.model_copy(update={"bookings": (*after.bookings, *bookings.get(key, ()))})
        after = indexed(after, settlement.date, draft.attempt.merchant.index_buckets)
        if before is None:
            found.append((None, after.model_copy(update={"cause": cause})))
        elif after != before:
            found.append((before, _stamped(before, after, draft.attempt, cause)))
    return found


def _changed(
    found: Mapping[str, RecordT], drafted: Mapping[str, RecordT], attempt: Attempt, cause: str
) -> tuple[tuple[RecordT, RecordT], ...]:
    return tuple(
        (found[name], _stamped(found[name], after, attempt, cause))
        for name, after in drafted.items()
        if after != found[name]
    )


def _stamped(before: RecordT, after: RecordT, attempt: Attempt, cause: str) -> RecordT:
    return after.model_copy(
        update={
            **attempt.context.stamp(),
            "cause": cause,
            "version": before.version + 1,
            "updated_at": to_timestamp(attempt.now),
        }
    )
