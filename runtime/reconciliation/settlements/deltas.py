"""Sums of settlement lines: added up per chunk, and once per file in the settlement. Pure.

A corrected file subtracts what its lines counted before and adds what they count now, so sums may
be negative in a delta; in a settlement they are those of the current lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from runtime.reconciliation.settlements.line_keys import line_bucket
from runtime.reconciliation.settlements.models import (
    NO_EXCEPTION,
    CurrencyTotal,
    LineStatus,
    LineType,
    Settlement,
    SettlementDelta,
    SettlementLine,
    TypeTotal,
)

MAX_PAYOUT_LINES: Final = 100
"""Payout lines that a settlement stores, the first ones: one per currency is corrected."""

UNCLASSIFIED: Final = "unclassified"
"""Type in `by_type` of lines whose category is not known: they count in the remainder too."""

CONTROL_TOTALS: Final = (LineStatus.MATCHED, LineStatus.AMOUNT_MISMATCH)
"""Statuses of payout lines that count as paid out; a duplicate adds nothing."""

TotalT = TypeVar("TotalT", CurrencyTotal, TypeTotal)


def of_line(line: SettlementLine) -> SettlementDelta:
    """The contribution of one line to its settlement.

    A superseded one still counts as a line, but its amounts belong to another settlement. A payout
    counts as the sum paid out, including its own fee.
    """
    found = SettlementDelta(
        counts={line.status: 1},
        open_exceptions=int(is_open_exception(line)),
        buckets=(line_bucket(line.line),),
        payout_lines=(line.line,) if line.type is LineType.PAYOUT else (),
    )
    if line.currency is None or line.status is LineStatus.SUPERSEDED:
        return found
    amounts = {name: getattr(line, name) or 0 for name in ("amount", "fee", "net")}
    kind = UNCLASSIFIED if line.type is None else str(line.type)
    counted: dict[str, Any] = {"by_type": {kind: {line.currency: TypeTotal(count=1, **amounts)}}}
    if line.status is LineStatus.MATCHED and line.type is LineType.CAPTURE:
        counted["totals"] = {line.currency: CurrencyTotal(**amounts)}
    if line.type is LineType.PAYOUT and line.status in CONTROL_TOTALS:
        counted["payout"] = {line.currency: -amounts["net"]}
    return found.model_copy(update=counted)


def is_open_exception(line: SettlementLine) -> bool:
    """Whether the line needs a decision."""
    return line.status not in NO_EXCEPTION and line.resolution is None


def of_change(before: SettlementLine | None, after: SettlementLine) -> SettlementDelta:
    """The change in its settlement of a new or changed line."""
    counted = of_line(after)
    return counted if before is None else combined(counted, _negative(of_line(before)))


def _negative(delta: SettlementDelta) -> SettlementDelta:
    """The opposite counts and sums, for unchanged places of lines."""

    def opposite(total: TotalT) -> TotalT:
        values = {name: -value for name, value in total.model_dump().items()}
        return type(total)(**values)

    return SettlementDelta(
        counts={status: -count for status, count in delta.counts.items()},
        open_exceptions=-delta.open_exceptions,
        totals={currency: opposite(total) for currency, total in delta.totals.items()},
        by_type={
            kind: {currency: opposite(total) for currency, total in totals.items()}
            for kind, totals in delta.by_type.items()
        },
        payout={currency: -paid for currency, paid in delta.payout.items()},
        buckets=delta.buckets,
        payout_lines=delta.payout_lines,
    )


def combined(first: SettlementDelta, second: SettlementDelta) -> SettlementDelta:
    """Both changes combined. `date` is the later one."""
    return SettlementDelta(
        counts=summed_counts(first.counts, second.counts),
        open_exceptions=first.open_exceptions + second.open_exceptions,
        totals=summed_totals(first.totals, second.totals),
        by_type=summed_types(first.by_type, second.by_type),
        payout=summed_amounts(first.payout, second.payout),
        buckets=_united(first.buckets, second.buckets),
        payout_lines=_united(first.payout_lines, second.payout_lines)[:MAX_PAYOUT_LINES],
        date=max(filter(None, (first.date, second.date)), default=None),
    )


def by_settlement(
    chunks: Iterable[Mapping[str, SettlementDelta]],
) -> dict[str, SettlementDelta]:
    """The changes of all chunks of a file, by settlement."""
    found: dict[str, SettlementDelta] = {}
    for deltas in chunks:
        for settlement_id, delta in deltas.items():
            before = found.get(settlement_id)
            found[settlement_id] = delta if before is None else combined(before, delta)
    return found


def with_delta(settlement: Settlement, delta: SettlementDelta, file_id: str) -> Settlement:
    """The settlement with the lines of one file in its sums, which are added once per file."""
    assert file_id not in settlement.added_files, f"{file_id} is in the sums of {settlement.id}"
    added_files = (*settlement.added_files, file_id)
    return with_sums(settlement, delta).model_copy(update={"added_files": added_files})


def with_sums(settlement: Settlement, delta: SettlementDelta) -> Settlement:
    """The settlement with a change of its lines in its sums. `remainder` is recomputed."""
    counts = summed_counts(settlement.counts, delta.counts)
    by_type = summed_types(settlement.by_type, delta.by_type)
    payout = summed_amounts(settlement.payout, delta.payout)
    lines = _united(settlement.payout_lines, delta.payout_lines)
    return settlement.model_copy(
        update={
            "counts": counts,
            "open_exceptions": settlement.open_exceptions + delta.open_exceptions,
            "totals": summed_totals(settlement.totals, delta.totals),
            "by_type": by_type,
            "payout": payout,
            "remainder": remainders(payout, by_type),
            "line_buckets": _united(settlement.line_buckets, delta.buckets),
            "payout_lines": lines[:MAX_PAYOUT_LINES],
            "lines_done": counts_of_lines(counts),
        }
    )


def remainders(
    payout: Mapping[str, int], by_type: Mapping[str, Mapping[str, TypeTotal]]
) -> dict[str, int]:
    """Payout less the net of all other lines, in every currency that was paid out."""
    found = {}
    for currency, paid in payout.items():
        nets = (
            totals[currency].net
            for kind, totals in by_type.items()
            if kind != LineType.PAYOUT and currency in totals
        )
        found[currency] = paid - sum(nets)
    return found


def counts_of_lines(counts: Mapping[LineStatus, int]) -> int:
    """The number of lines, whatever their status."""
    return sum(counts.values())


def summed_counts(
    first: Mapping[LineStatus, int], second: Mapping[LineStatus, int]
) -> dict[LineStatus, int]:
    """Counts of lines by status; statuses without lines are omitted."""
    return _without_zeros(Counter(first), second)


def summed_amounts(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Amounts by currency. A sum of zero stays: it shows that there was something."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in sorted({*first, *second})}


def summed_totals(first: Mapping[str, TotalT], second: Mapping[str, TotalT]) -> dict[str, TotalT]:
    """Totals by currency, without zeros."""
    found = dict(first)
    for currency, total in second.items():
        before = found.get(currency)
        after = total if before is None else _sum(before, total)
        if any(after.model_dump().values()):
            found[currency] = after
        else:
            found.pop(currency, None)
    return found


def summed_types(
    first: Mapping[str, Mapping[str, TypeTotal]], second: Mapping[str, Mapping[str, TypeTotal]]
) -> dict[str, dict[str, TypeTotal]]:
    """Totals by type and currency, without zeros."""
    found = {}
    for kind in sorted({*first, *second}):
        totals = summed_totals(dict(first.get(kind, {})), second.get(kind, {}))
        if totals:
            found[kind] = totals
    return found


def _sum(first: TotalT, second: TotalT) -> TotalT:
    added = second.model_dump()
    return type(first)(**{name: value + added[name] for name, value in first.model_dump().items()})


def _without_zeros(
    counts: Counter[LineStatus], more: Mapping[LineStatus, int]
) -> dict[LineStatus, int]:
    for status, count in more.items():
        counts[status] += count
    return {status: count for status, count in counts.items() if count}


def _united(first: Iterable[int], second: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted({*first, *second}))
