"""What processors pay out, and the reports that they write about it: some with errors, at first."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from runtime.models.currency import DECIMALS
from runtime.models.settlement import LineType
from simulation.outside import BEGINNING
from simulation.platform.movements import CATEGORIES, Movement, SandboxMovements
from simulation.platform.stripe_server import StripeServer

CANONICAL: Final = (
    "payment_id",
    "transaction_id",
    "status",
    "amount",
    "fee",
    "net",
    "currency",
    "processed_date",
    "settlement_date",
    "type",
)
STRIPE: Final = (
    "automatic_payout_id",
    "automatic_payout_effective_at_utc",
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "charge_id",
    "payment_intent_id",
    "payment_metadata[reference]",
    "refund_metadata[reference]",
)
Row = dict[str, str]


@dataclass
class Payout:
    """What was paid out together, in one currency, and whether its report is right yet."""

    reference: str
    merchant_id: str
    processor: str
    movements: list[Movement]
    at: float
    is_reported: bool = False

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
        if shop.processor == "stripe":
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
        """The report on a payout; `dice` puts errors into it."""
        rows = [_row(payout, movement) for movement in payout.movements]
        total = sum(movement.net for movement in payout.movements)
        rows.append(_payout_row(payout, total))
        if dice is not None:
            rows = _damaged(rows, dice)
        text = io.StringIO()
        header = STRIPE if payout.processor == "stripe" else CANONICAL
        writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    def correct_all(self) -> None:
        """Put a right report into the bucket for every payout that has none yet."""
        for payout in self.payouts:
            if not payout.is_reported:
                payout.is_reported = True
                key = f"reconciliation/{payout.merchant_id}/{payout.file_name}"
                self.upload(key, self.report(payout))


def _row(payout: Payout, movement: Movement) -> Row:
    if payout.processor == "stripe":
        return _stripe_row(payout, movement)
    transaction_id = movement.dispute_id or movement.transaction_id or ""
    return {
        "payment_id": movement.payment_id or "",
        "transaction_id": transaction_id,
        "status": "settled",
        "amount": str(movement.amount),
        "fee": str(movement.fee),
        "net": str(movement.net),
        "currency": movement.currency,
        "processed_date": _day(movement.at),
        "settlement_date": _day(payout.at),
        "type": movement.kind.value,
    }


def _stripe_row(payout: Payout, movement: Movement) -> Row:
    source, charge, intent = (*movement.processor_ids, "", "", "")[:3]
    return {
        **_stripe_amounts(movement.amount, movement.fee, movement.currency),
        "automatic_payout_id": payout.reference,
        "automatic_payout_effective_at_utc": f"{_day(payout.at)} 00:00:00",
        "balance_transaction_id": movement.id,
        "created_utc": f"{_day(movement.at)} 00:00:00",
        "reporting_category": CATEGORIES[movement.kind],
        "source_id": source,
        "charge_id": charge,
        "payment_intent_id": intent,
        "payment_metadata[reference]": movement.payment_id or "",
        "refund_metadata[reference]": movement.transaction_id or "",
    }


def _payout_row(payout: Payout, total: int) -> Row:
    currency = payout.movements[0].currency
    if payout.processor == "stripe":
        return {
            **_stripe_amounts(-total, 0, currency),
            "automatic_payout_id": payout.reference,
            "automatic_payout_effective_at_utc": f"{_day(payout.at)} 00:00:00",
            "balance_transaction_id": f"bt_{payout.reference}",
            "created_utc": f"{_day(payout.at)} 00:00:00",
            "reporting_category": "payout",
            "source_id": payout.reference,
        }
    return {
        "transaction_id": payout.reference,
        "status": "settled",
        "amount": str(-total),
        "fee": "0",
        "net": str(-total),
        "currency": currency,
        "processed_date": _day(payout.at),
        "settlement_date": _day(payout.at),
        "type": LineType.PAYOUT.value,
    }


def _stripe_amounts(amount: int, fee: int, currency: str) -> Row:
    return {
        "currency": currency.lower(),
        "gross": _major(amount, currency),
        "fee": _major(fee, currency),
        "net": _major(amount - fee, currency),
    }


def _damaged(rows: Sequence[Row], dice: Random) -> list[Row]:
    """A report with errors: lines left out, doubled, of other amounts, unreadable."""
    found: list[Row] = []
    for row in rows:
        throw = dice.random()
        if throw < 0.06:
            continue
        if throw < 0.12:
            row = _other_amount(row)  # noqa: PLW2901 - the line as the report has it
        elif throw < 0.15:
            found.append(row)
        elif throw < 0.18:
            row = {**row, "net": "many"}  # noqa: PLW2901
        found.append(row)
    dice.shuffle(found)
    return found


def _other_amount(row: Row) -> Row:
    gross = "gross" if "gross" in row else "amount"
    return {
        **row,
        gross: str(Decimal(row[gross]) + 1),
        "net": str(Decimal(row["net"]) + 1),
    }


def _major(amount: int, currency: str) -> str:
    return f"{Decimal(amount).scaleb(-DECIMALS[currency]):f}"


def _day(at: float) -> str:
    return f"{BEGINNING + timedelta(seconds=at):%Y-%m-%d}"
