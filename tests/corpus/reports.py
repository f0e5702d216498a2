"""Settlement files under construction: each line with its expected result.

A report knows which line is correct and which has an error, because the case's author declared it.
Nothing here asks the code under test how it classifies a line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from tests.corpus.books import Books, Dispute, Fact, Payment, token
from tests.support.reconciliation.render import HEADERS, RENDERERS
from tests.support.reconciliation.workbooks import workbook

ZERO_MARKED = "payout_not_explained"


@dataclass
class Entry:
    """One line of a file. `planted` names its error; `cells` are written in place of its own.

    `raw` is written as it is, instead of all cells. `identity` is what makes it the same line in a
    corrected file.
    """

    line: ImportedLine
    identity: str
    status: str = "matched"
    planted: str | None = None
    cells: Mapping[str, str] = field(default_factory=dict)
    raw: str | None = None
    number: int = 0

    @property
    def payout(self) -> str | None:
        """The payout that it is a line of; None where that cannot be read, too."""
        return self.line.payout_reference

    @property
    def is_readable(self) -> bool:
        """Whether it has amounts."""
        return self.status != "invalid"


@dataclass(frozen=True)
class Dress:
    """How a file is written."""

    delimiter: str = ","
    line_end: str = "\n"
    encoding: str = "utf-8"
    mark: bytes = b""
    quote_all: bool = False
    reversed_columns: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)
    blank_lines: bool = False
    workbook: bool = False
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Says:
    """How a line differs from the expected one, and its expected result."""

    status: str = "matched"
    planted: str | None = None
    amount: int | None = None
    fee: int | None = None
    currency: str | None = None
    presented: tuple[int, str] | None = None
    payment_id: str | None = None
    by_processor: bool = False
    state: str = "settled"
    cells: Mapping[str, str] = field(default_factory=dict)
    again: str = ""
    category: str | None = None


RIGHT = Says()


class Report:
    """One file of a layout, about the books of its case."""

    def __init__(
        self,
        books: Books,
        layout: SettlementFormat,
        *,
        uploaded_as: str,
        dress: Dress | None = None,
    ) -> None:
        self.books, self.layout = books, layout
        self.uploaded_as = uploaded_as
        self.dress = dress or Dress()
        self.entries: list[Entry] = []

    # ------------------------------------------------------------ lines

    def capture(self, paid: Payment, payout: str | None, says: Says = RIGHT, part: int = 0) -> None:
        """The settled line of a capture."""
        fact = paid.captures[part]
        fee = fact.fee if says.fee is None else says.fee
        entry = self._entry(LineType.CAPTURE, paid, fact, payout, says, (fact.amount, fee))
        if says.status == "matched":
            fact.settled = True
        self.entries.append(entry)

    def refund(self, paid: Payment, fact: Fact, payout: str | None, says: Says = RIGHT) -> None:
        """The line of a refund."""
        amounts = (-fact.amount, says.fee or 0)
        self.entries.append(self._entry(LineType.REFUND, paid, fact, payout, says, amounts))
        if says.status == "matched":
            fact.settled = True

    def refund_failure(
        self, paid: Payment, fact: Fact, payout: str | None, says: Says = RIGHT
    ) -> None:
        """The line of a refund that came back."""
        amounts = (fact.amount, 0)
        self.entries.append(self._entry(LineType.REFUND_FAILURE, paid, fact, payout, says, amounts))
        if says.status == "matched":
            fact.return_settled = True

    def dispute(
        self, paid: Payment, dispute: Dispute, payout: str | None, says: Says = RIGHT
    ) -> None:
        """What a dispute withdrew, with its fee."""
        fee = dispute.fee if says.fee is None else says.fee
        amounts = (-dispute.withdrawn, fee)
        entry = self._entry(LineType.DISPUTE, paid, dispute, payout, says, amounts)
        self.entries.append(entry)
        if says.status == "matched":
            dispute.settled_withdrawn += dispute.withdrawn
            dispute.settled_fee += fee

    def dispute_reversal(
        self, paid: Payment, dispute: Dispute, payout: str | None, says: Says = RIGHT
    ) -> None:
        """What came back of a dispute."""
        fee = says.fee or 0
        amounts = (dispute.returned or dispute.amount, fee)
        entry = self._entry(LineType.DISPUTE_REVERSAL, paid, dispute, payout, says, amounts)
        self.entries.append(entry)
        if says.status == "matched":
            dispute.settled_returned += dispute.returned
            dispute.settled_fee += fee

    def other(
        self,
        kind: LineType | None,
        category: str,
        amount: int,
        currency: str,
        payout: str | None,
        says: Says = RIGHT,
    ) -> None:
        """A line without a payment: a fee, an adjustment, one of an unknown category."""
        self.entries.append(self._without_payment(kind, category, amount, currency, payout, says))

    def payout_line(
        self, payout: str | None, currency: str, *, off: int = 0, planted: str = ZERO_MARKED
    ) -> None:
        """The payout of all readable lines so far; `off` minor units more than their sum."""
        total = sum(
            each.line.net
            for each in self.entries
            if each.payout == payout and each.line.currency == currency and each.is_readable
        )
        status, error = ("amount_mismatch", planted) if off else ("matched", None)
        says = Says(status=status, planted=error)
        category = PAYOUT_CATEGORIES[self.layout]
        entry = self._without_payment(
            LineType.PAYOUT, category, -(total + off), currency, payout, says
        )
        self.entries.append(entry)

    def raw(self, text: str, planted: str) -> None:
        """A record that is written as it stands, and cannot be read."""
        line = ImportedLine(0, "", None, "", 0, 0, 0, "", References())
        self.entries.append(Entry(line, f"raw:{text}", "invalid", planted, raw=text))

    # ------------------------------------------------------------ how lines are named

    def _entry(
        self,
        kind: LineType,
        paid: Payment,
        about: Fact | Dispute,
        payout: str | None,
        says: Says,
        amounts: tuple[int, int],
    ) -> Entry:
        amount = amounts[0] if says.amount is None else says.amount
        fee = amounts[1]
        line = ImportedLine(
            number=0,
            identity=self._line_id(kind, about.id, says.again),
            type=kind,
            category=says.category or CATEGORIES[self.layout][kind],
            amount=amount,
            fee=fee,
            net=amount - fee,
            currency=says.currency or paid.currency,
            references=self._references(kind, paid, about, says),
            payout_reference=payout,
            status=says.state,
            presented_amount=says.presented[0] if says.presented else None,
            presented_currency=says.presented[1] if says.presented else None,
            processed_date="2026-01-30",
            settlement_date="2026-02-02",
        )
        return Entry(line, self._identity(line), says.status, says.planted, says.cells)

    def _without_payment(
        self,
        kind: LineType | None,
        category: str,
        amount: int,
        currency: str,
        payout: str | None,
        says: Says,
    ) -> Entry:
        place = f"{len(self.entries)}"
        line = ImportedLine(
            number=0,
            identity=self._line_id(kind, f"{category}{place}", says.again),
            type=kind,
            category=category,
            amount=amount,
            fee=0,
            net=amount,
            currency=currency,
            references=self._payout_id(currency) if kind is LineType.PAYOUT else References(),
            payout_reference=payout,
            status=says.state,
            processed_date="2026-01-31",
            settlement_date="2026-02-02",
        )
        identity = f"{self._identity(line)}{place}"
        return Entry(line, identity, says.status, says.planted, says.cells)

    def _payout_id(self, currency: str) -> References:
        """Our own layout has a column for it: a corrected payout is then the same line."""
        if self.layout is not SettlementFormat.CANONICAL:
            return References()
        return References(transaction_id=f"po_{token(self.books.case, currency)}")

    def _line_id(self, kind: LineType | None, about: str, again: str) -> str:
        return f"txn_1{token(self.books.case, str(kind), about, again, length=16)}"

    def _identity(self, line: ImportedLine) -> str:
        if self.layout is SettlementFormat.STRIPE:
            return line.identity
        references = line.references
        named = (references.transaction_id, references.dispute_id, *references.processor_ids)
        return ":".join(filter(None, (str(line.type), *named)))

    def _references(
        self, kind: LineType, paid: Payment, about: Fact | Dispute, says: Says
    ) -> References:
        disputed = kind in (LineType.DISPUTE, LineType.DISPUTE_REVERSAL)
        payment_id = says.payment_id or paid.id
        again = f"-{says.again}" if says.again else ""
        if self.layout is SettlementFormat.CANONICAL:
            return References(
                payment_id=payment_id,
                transaction_id=None if disputed else about.id,
                dispute_id=about.id if disputed else None,
            )
        source = about.id if isinstance(about, Dispute) else about.processor_id
        charge = f"ch_{paid.processor_id[3:]}"
        ours = None if says.by_processor else payment_id
        if self.layout is SettlementFormat.STRIPE:
            refunded = kind in (LineType.REFUND, LineType.REFUND_FAILURE)
            named = about.id if refunded and not says.by_processor else None
            source = charge if kind is LineType.CAPTURE else source
            return References(ours, named, None, (source, charge, paid.processor_id))
        named = None if disputed or says.by_processor else about.id
        return References(ours, named, None, (f"{source}{again}", paid.processor_id))

    # ------------------------------------------------------------ the file

    def content(self) -> bytes:
        """The bytes of the file; numbers its lines on the way."""
        header, rows = self._table()
        if self.dress.workbook:
            for number, entry in enumerate(self.entries, start=2):
                entry.number = number
            cells = [[_cell(text) for text in row] for row in rows]
            return workbook({"Report": [header, *cells]})
        text = io.StringIO()
        self._write(text, header)
        for entry, row in zip(self.entries, rows, strict=True):
            if self.dress.blank_lines:
                text.write(self.dress.line_end)
            entry.number = text.getvalue().count("\n") + 1
            if entry.raw is None:
                self._write(text, row)
            else:
                text.write(entry.raw + self.dress.line_end)
        return self.dress.mark + text.getvalue().encode(self.dress.encoding)

    def _table(self) -> tuple[list[str], list[list[str]]]:
        header = [*HEADERS[self.layout], *self.dress.extra]
        header = [name for name in header if name not in self.dress.without]
        if self.dress.reversed_columns:
            header.reverse()
        render = RENDERERS[self.layout]
        rows = []
        for entry in self.entries:
            cells = {} if entry.raw is not None else render(entry.line)
            cells = {**cells, **self.dress.extra, **entry.cells}
            rows.append([cells.get(name, "") for name in header])
        return header, rows

    def _write(self, text: io.StringIO, cells: Sequence[str]) -> None:
        quoting = csv.QUOTE_ALL if self.dress.quote_all else csv.QUOTE_MINIMAL
        csv.writer(
            text,
            delimiter=self.dress.delimiter,
            lineterminator=self.dress.line_end,
            quoting=quoting,
        ).writerow(cells)


CATEGORIES: Mapping[SettlementFormat, Mapping[LineType, str]] = {
    SettlementFormat.CANONICAL: {kind: kind.value for kind in LineType},
    SettlementFormat.STRIPE: {
        LineType.CAPTURE: "charge",
        LineType.REFUND: "refund",
        LineType.REFUND_FAILURE: "refund_failure",
        LineType.DISPUTE: "dispute",
        LineType.DISPUTE_REVERSAL: "dispute_reversal",
    },
    SettlementFormat.ADYEN: {
        LineType.CAPTURE: "Settled",
        LineType.REFUND: "Refunded",
        LineType.REFUND_FAILURE: "RefundedReversed",
        LineType.DISPUTE: "Chargeback",
        LineType.DISPUTE_REVERSAL: "ChargebackReversed",
    },
}
PAYOUT_CATEGORIES: Mapping[SettlementFormat, str] = {
    SettlementFormat.CANONICAL: "payout",
    SettlementFormat.STRIPE: "payout",
    SettlementFormat.ADYEN: "MerchantPayout",
}


def _cell(text: str) -> str | tuple[str, str]:
    """Numbers are stored as numbers, as Excel does when it opens a CSV."""
    try:
        float(text)
    except ValueError:
        return text
    return (text, "number") if len(text) < 15 else text
