"""The importer can read the demo's file, and its payouts are the sums of their lines."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Any

from local.demo.payout_file import ACCOUNT_FEE, SHORT_BY, payout_file
from runtime.reconciliation.importers.detect import layout_of
from runtime.reconciliation.importers.layout import Layout
from runtime.reconciliation.importers.line import ImportedLine
from runtime.reconciliation.settlements.models import LineType, SettlementFormat
from simulation.platform.reports import STRIPE_HEADER, stripe


def payment(number: int, currency: str, refund: int = 0) -> dict[str, Any]:
    capture = {
        "id": f"txn_{number:026}",
        "payment_id": f"pay_{number:026}",
        "type": "capture",
        "status": "succeeded",
        "amount": 2500,
        "fee": 95,
        "currency": currency,
        "processor_id": f"ch_{number}",
    }
    changes = {"id": f"txn_9{number:025}", "type": "refund", "amount": refund, "fee": 0}
    refunds = [{**capture, **changes}] if refund else []
    return {"transactions": [{**capture, "type": "authorization"}, capture, *refunds]}


def test_every_payout_is_the_sum_of_its_lines_and_one_line_is_missing() -> None:
    payments = [
        payment(1, "USD"),
        payment(2, "JPY", refund=500),
        payment(3, "USD"),
        payment(4, "JPY"),
    ]
    file = payout_file(payments)
    header, *rows = csv.reader(io.StringIO(file.content.decode()))
    layout = layout_of(header)
    assert isinstance(layout, Layout)
    assert layout.format is SettlementFormat.STRIPE
    lines = [layout.parse(number, row) for number, row in enumerate(rows, start=2)]
    nets: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    payouts: dict[str, set[str | None]] = {}
    for line in lines:
        assert isinstance(line, ImportedLine), line
        payouts.setdefault(line.currency, set()).add(line.payout_reference)
        (paid if line.type is LineType.PAYOUT else nets)[line.currency] += line.net
    assert dict(nets) == file.paid == {code: -amount for code, amount in paid.items()}
    assert file.paid["USD"] == 2 * 2405 - SHORT_BY - ACCOUNT_FEE
    assert file.paid["JPY"] == 2 * 2405 - 500
    assert all(len(names) == 1 for names in payouts.values())
    assert file.wrong_transaction == f"txn_{3:026}"
    assert file.lines == {"USD": 3, "JPY": 3}


def test_its_cells_match_the_simulations_renderer_of_stripes_layout() -> None:
    """The demo has its own renderer, because local tools do not import the simulation."""
    content = payout_file([payment(1, "USD"), payment(2, "JPY", refund=500)]).content.decode()
    header, *rows = csv.reader(io.StringIO(content))
    layout = layout_of(header)
    assert isinstance(layout, Layout)
    assert set(header) < set(STRIPE_HEADER)
    for number, row in enumerate(rows, start=2):
        line = layout.parse(number, row)
        assert isinstance(line, ImportedLine), line
        cells = stripe(line)
        assert dict(zip(header, row, strict=True)) == {name: cells[name] for name in header}
