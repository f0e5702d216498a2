"""The expected results of each file, stored beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from tests.corpus.cases import Case, File
from tests.corpus.reports import Entry, Report

Key = tuple[str | None, str | None]
"""A settlement: its payout, or the name of the file whose lines name none."""
EXCEPTIONS = "completed_with_exceptions"


def published(case: Case) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Names, bytes and truths of a case's files."""
    case.keep()
    names: list[str] = []
    reports: list[Report] = []
    for number, file in enumerate(case.files, start=1):
        suffix = f"-{number}" if len(case.files) > 1 else ""
        ending = "xlsx" if file.uploaded_as.endswith(".xlsx") else "csv"
        name = f"{case.name}{suffix}.{ending}"
        content = file.report.content() if file.report is not None else file.content
        if file.report is not None:
            reports.append(file.report)
        yield name, content, _truth(case, file, names, reports)
        names.append(name)


def as_text(truth: Mapping[str, Any]) -> str:
    """The truth as JSON in which every line, payment and settlement has a line of its own."""
    members = []
    for name, value in truth.items():
        if isinstance(value, list) and value:
            items = ",\n".join(f"    {json.dumps(item)}" for item in value)
            members.append(f"  {json.dumps(name)}: [\n{items}\n  ]")
        else:
            members.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(members) + "\n}\n"


def _truth(
    case: Case, file: File, before: Sequence[str], reports: Sequence[Report]
) -> dict[str, Any]:
    entries = file.report.entries if file.report is not None else []
    settlements = _settlements(reports)
    touched = {_key(entry, reports[-1]) for entry in entries}
    status = "rejected"
    if file.rejected is None:
        open_ones = [key for key in touched if settlements[key].truth(key)["status"] == EXCEPTIONS]
        status = EXCEPTIONS if open_ones else "completed"
    return {
        "about": file.about,
        "layout": None if file.report is None else str(file.report.layout),
        "uploaded_as": file.uploaded_as,
        "after": list(before),
        "status": status,
        "rejected": file.rejected,
        "errors": sum(each.planted is not None for each in entries) + (file.rejected is not None),
        "books": [] if before else case.books.as_json(),
        "lines": [_line(entry) for entry in entries],
        "settlements": [settlements[key].truth(key) for key in sorted(settlements, key=str)],
        "balances": case.books.open_balances(file.settled),
    }


def _line(entry: Entry) -> dict[str, Any]:
    line = entry.line
    known: dict[str, Any] = {"line": entry.number, "status": entry.status, "error": entry.planted}
    if not entry.is_readable:
        return known
    return known | {
        "type": None if line.type is None else str(line.type),
        "amount": line.amount,
        "fee": line.fee,
        "net": line.net,
        "currency": line.currency,
        "payout": line.payout_reference,
    }


# -------------------------------------------------------------------- settlements


@dataclass
class _Settlement:
    """What a settlement has come to after some files."""

    lines: dict[str, Entry] = field(default_factory=dict)
    superseded: int = 0

    def truth(self, key: Key) -> dict[str, Any]:
        """Its counts, payout and remainder as they are published."""
        entries = list(self.lines.values())
        counts = Counter(each.status for each in entries)
        if self.superseded:
            counts["superseded"] = self.superseded
        paid: Counter[str] = Counter()
        nets: Counter[str] = Counter()
        for each in entries:
            if each.line.type is LineType.PAYOUT:
                paid[each.line.currency] -= each.line.net
            elif each.is_readable:
                nets[each.line.currency] += each.line.net
        fine = set(counts) <= {"matched", "superseded"}
        return {
            "payout_reference": key[0],
            "of_file": key[1],
            "status": "completed" if fine else EXCEPTIONS,
            "counts": dict(sorted(counts.items())),
            "payout": dict(sorted(paid.items())),
            "remainder": {currency: paid[currency] - nets[currency] for currency in sorted(paid)},
        }


def _key(entry: Entry, report: Report) -> Key:
    return (entry.payout, None) if entry.payout is not None else (None, report.uploaded_as)


def _settlements(reports: Sequence[Report]) -> dict[Key, _Settlement]:
    """The settlements after these files of one case, in their order."""
    found: dict[Key, _Settlement] = {}
    for report in reports:
        for entry in report.entries:
            key = _key(entry, report)
            settlement = found.setdefault(key, _Settlement())
            identity = _unique(entry, report)
            _supersede(found, key, entry, report, identity)
            settlement.lines[identity] = entry
    return found


def _supersede(
    found: Mapping[Key, _Settlement], key: Key, entry: Entry, report: Report, identity: str
) -> None:
    """A line that another settlement had, or that could not be read before on the same line."""
    for other, settlement in found.items():
        for known, each in list(settlement.lines.items()):
            moved = other != key and known == identity
            moved = moved and report.layout is not SettlementFormat.CANONICAL
            of_this_file = other in (key, (None, report.uploaded_as))
            read_now = entry.is_readable and not each.is_readable and of_this_file
            read_now = read_now and each.number == entry.number and each not in report.entries
            if moved or read_now:
                settlement.lines.pop(known)
                settlement.superseded += 1


def _unique(entry: Entry, report: Report) -> str:
    """Two lines of one file never take each other's place."""
    same = [each for each in report.entries if each.identity == entry.identity]
    place = next(at for at, each in enumerate(same) if each is entry)
    if not entry.is_readable:
        return f"unreadable:{entry.number}"
    return f"{entry.identity}#{place}" if place else entry.identity
