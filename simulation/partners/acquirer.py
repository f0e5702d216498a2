"""What processors pay out, and the reports that they write about it: some with errors, at first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from runtime.reconciliation.importers.line import ImportedLine, References
from runtime.reconciliation.settlements.models import LineType
from simulation.outside import BEGINNING
from simulation.partners.movements import CATEGORIES, Movement, SandboxMovements
from simulation.partners.stripe_server import StripeServer
from simulation.platform.reports import (
    CANONICAL_HEADER,
    STRIPE_HEADER,
    canonical,
    stripe,
    table,
)

STRIPE: Final = "stripe"
Row = dict[str, str]


@dataclass
class Payout:
    """What was paid out together, in one currency.

    `is_corrected`: whether the report in the bucket is known to be right.
    """

    reference: str
    merchant_id: str
    processor: str
    movements: list[Movement]
    at: float
    is_corrected: bool = False

    @property
    def file_name(self) -> str:
        """A corrected report has the name of the first one."""
        return f"{self.reference}.csv"


@dataclass
class Acquirer:
    """Pays out what moved, each movement once; `upload` puts a report into the bucket of files."""

    sandbox: SandboxMovements
    stripe: StripeServer
    now: Callable[[], float]
    upload: Callable[[str, bytes], None]
    payouts: list[Payout] = field(default_factory=list)
    _paid: dict[str, set[str]] = field(default_factory=dict)

    def movements(self, shop: Any) -> list[Movement]:
        """Everything that has moved for a merchant at its processor."""
        if shop.processor == STRIPE:
            return self.stripe.accounts[shop.processor_key].movements
        return self.sandbox.by_merchant.get(shop.id, [])

    def pay_out(self, shop: Any, dice: Random) -> Payout | None:
        """Some of what was not paid out yet; None where there is nothing."""
        paid = self._paid.setdefault(shop.id, set())
        waiting = [each for each in self.movements(shop) if each.id not in paid]
        if not waiting:
            return None
        currency = dice.choice(waiting).currency
        same = [each for each in waiting if each.currency == currency]
        some = same[: dice.randrange(1, len(same) + 1)]
        paid.update(each.id for each in some)
        number = len(self.payouts) + 1
        payout = Payout(f"po_{number:06d}", shop.id, shop.processor, some, self.now())
        self.payouts.append(payout)
        return payout

    def report(self, payout: Payout, dice: Random | None = None) -> bytes:
        """The report on a payout; `dice` puts errors into it, so that it has to be corrected."""
        cells, header = (
            (stripe, STRIPE_HEADER) if payout.processor == STRIPE else (canonical, CANONICAL_HEADER)
        )
        lines = [*(_line(payout, each) for each in payout.movements), _payout_line(payout)]
        rows = [cells(line) for line in lines]
        if dice is not None:
            rows = _damaged(rows, dice)
            payout.is_corrected = False
        return table(header, rows).encode()

    def correct_all(self) -> None:
        """Put a right report into the bucket for every payout that may have a wrong one, or none.

        A world comes to rest several times, and a report that was corrected at one of them may be
        replaced by one with errors before the next.
        """
        for payout in self.payouts:
            if not payout.is_corrected:
                payout.is_corrected = True
                key = f"reconciliation/{payout.merchant_id}/{payout.file_name}"
                self.upload(key, self.report(payout))


def _line(payout: Payout, movement: Movement) -> ImportedLine:
    references = References(
        movement.payment_id, movement.transaction_id, movement.dispute_id, movement.processor_ids
    )
    return ImportedLine(
        number=0,
        identity=movement.id,
        type=movement.kind,
        category=_category(payout, movement.kind),
        amount=movement.amount,
        fee=movement.fee,
        net=movement.net,
        currency=movement.currency,
        references=references,
        payout_reference=payout.reference,
        processed_date=_day(movement.at),
        settlement_date=_day(payout.at),
    )


def _payout_line(payout: Payout) -> ImportedLine:
    """What was paid out; our own layout has the payout's name where others have an id."""
    total = sum(movement.net for movement in payout.movements)
    is_stripe = payout.processor == STRIPE
    return ImportedLine(
        number=0,
        identity=f"bt_{payout.reference}",
        type=LineType.PAYOUT,
        category=LineType.PAYOUT.value,
        amount=-total,
        fee=0,
        net=-total,
        currency=payout.movements[0].currency,
        references=References(
            transaction_id=None if is_stripe else payout.reference,
            processor_ids=(payout.reference,),
        ),
        payout_reference=payout.reference,
        processed_date=_day(payout.at),
        settlement_date=_day(payout.at),
    )


def _category(payout: Payout, kind: LineType) -> str:
    return CATEGORIES[kind] if payout.processor == STRIPE else kind.value


def _damaged(rows: Sequence[Row], dice: Random) -> list[Row]:
    """A report with errors: lines left out, of other amounts, doubled, unreadable.

    Of a line that is doubled the second may have another id, where lines have ids of their own.
    """
    found: list[Row] = []
    for row in rows:
        throw = dice.random()
        if throw < 0.06:
            continue
        if throw < 0.12:
            row = _other_amount(row)  # noqa: PLW2901 - the line as the report has it
        elif throw < 0.15:
            found.append(row)
        elif throw < 0.21:
            found.append(_again(row))
        elif throw < 0.24:
            row = {**row, "net": "many"}  # noqa: PLW2901
        found.append(row)
    dice.shuffle(found)
    return found


def _other_amount(row: Row) -> Row:
    """One unit more, of the smallest that the report has."""
    gross = "gross" if "gross" in row else "amount"
    amount, net = Decimal(row[gross]), Decimal(row["net"])
    more = Decimal(1).scaleb(int(amount.as_tuple().exponent))
    return {**row, gross: f"{amount + more:f}", "net": f"{net + more:f}"}


def _again(row: Row) -> Row:
    """Another line about the same sale."""
    if row.get("reporting_category") != CATEGORIES[LineType.CAPTURE]:
        return row
    return {**row, "balance_transaction_id": f"{row['balance_transaction_id']}_again"}


def _day(at: float) -> str:
    return f"{BEGINNING + timedelta(seconds=at):%Y-%m-%d}"
