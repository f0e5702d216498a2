"""Settlement files: reading a line, and judging it against our own transaction. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.models.currency import DECIMALS
from runtime.models.fields import MAX_AMOUNT_MINOR
from runtime.models.settlement import CurrencyTotal, LineStatus
from runtime.models.transaction import Transaction, TransactionStatus, TransactionType

HEADER: Final = (
    "payment_id",
    "transaction_id",
    "status",
    "amount",
    "fee",
    "net",
    "currency",
    "processed_date",
    "settlement_date",
)
SETTLED: Final = "settled"
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,13}")
MAX_CELL_CHARACTERS = 128
"""No processor reports longer cells: a line that has one is invalid."""


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """A readable line; amounts in minor units."""

    number: int
    payment_id: str
    transaction_id: str
    status: str
    amount: int
    fee: int
    net: int
    currency: str
    processed_date: str
    settlement_date: str


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line that cannot be read or contradicts itself, with the reason."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a line turned out to be, and in one sentence why it did not match."""

    status: LineStatus
    reason: str | None = None


def parse_line(number: int, cells: Sequence[str]) -> ParsedLine | InvalidLine:
    """Read one line. `number` counts the file's lines from 1, the header being line 1."""
    if len(cells) != len(HEADER):
        return InvalidLine(number, f"{len(cells)} columns instead of {len(HEADER)}")
    row = dict(zip(HEADER, (cell.strip() for cell in cells), strict=True))
    for name, cell in row.items():
        if len(cell) > MAX_CELL_CHARACTERS:
            return InvalidLine(number, f"{name} is longer than {MAX_CELL_CHARACTERS} characters")
        if not cell and name not in ("processed_date", "settlement_date"):
            return InvalidLine(number, f"{name} is empty")
    amounts: dict[str, int] = {}
    for name in ("amount", "fee", "net"):
        if not _WHOLE_NUMBER.fullmatch(row[name]):
            return InvalidLine(number, f"{name} {row[name]!r} is no whole number of minor units")
        amounts[name] = int(row[name])
        if abs(amounts[name]) > MAX_AMOUNT_MINOR:
            return InvalidLine(number, f"{name} {row[name]} is above {MAX_AMOUNT_MINOR}")
    if row["currency"] not in DECIMALS:
        return InvalidLine(number, f"currency {row['currency']!r} is no ISO 4217 code")
    if amounts["amount"] - amounts["fee"] != amounts["net"]:
        return InvalidLine(
            number,
            f"amount {amounts['amount']} less fee {amounts['fee']} is not net {amounts['net']}",
        )
    return ParsedLine(
        number=number,
        payment_id=row["payment_id"],
        transaction_id=row["transaction_id"],
        status=row["status"],
        currency=row["currency"],
        processed_date=row["processed_date"],
        settlement_date=row["settlement_date"],
        **amounts,
    )


def judge(line: ParsedLine, ours: Transaction | None, *, merchant_id: str) -> Verdict:
    """Compare one line with our transaction (None: we know none of that id).

    The first difference decides, in this order: not ours, the file's status, already settled, our
    status, currency, amount, fee.
    """
    if ours is None or ours.merchant_id != merchant_id or ours.payment_id != line.payment_id:
        return Verdict(
            LineStatus.UNEXPECTED,
            f"no transaction {line.transaction_id} of payment {line.payment_id}",
        )
    if line.status != SETTLED:
        return Verdict(
            LineStatus.STATUS_MISMATCH, f"the file says {line.status!r}, not {SETTLED!r}"
        )
    if ours.status is TransactionStatus.SETTLED:
        return Verdict(LineStatus.DUPLICATE, f"already settled by {ours.settlement_id}")
    if ours.status is not TransactionStatus.SUCCEEDED or ours.type is not TransactionType.CAPTURE:
        return Verdict(
            LineStatus.STATUS_MISMATCH,
            f"ours is a {ours.type} that is {ours.status}, not a capture",
        )
    if ours.currency != line.currency:
        return Verdict(
            LineStatus.CURRENCY_MISMATCH, f"expected {ours.currency}, the file says {line.currency}"
        )
    if ours.amount != line.amount:
        return Verdict(
            LineStatus.AMOUNT_MISMATCH,
            f"expected amount {ours.amount}, the file says {line.amount}",
        )
    if ours.fee != line.fee:
        return Verdict(
            LineStatus.FEE_MISMATCH, f"expected fee {ours.fee}, the file says {line.fee}"
        )
    return Verdict(LineStatus.MATCHED)


def add_line(
    totals: Mapping[str, CurrencyTotal], currency: str, *, amount: int, fee: int, net: int
) -> dict[str, CurrencyTotal]:
    """`totals` and one more matched line."""
    before = totals.get(currency, CurrencyTotal())
    after = CurrencyTotal(amount=before.amount + amount, fee=before.fee + fee, net=before.net + net)
    return {**totals, currency: after}
