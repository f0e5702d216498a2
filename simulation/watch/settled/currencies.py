"""Currencies at rest: a transfer moves money between accounts of its own currency alone."""

from __future__ import annotations

from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.transfers import legs_of
from simulation.watch.values import text


def currency_faults(rows: Rows) -> Faults:
    """Transfers that have moved or hold money of accounts of another currency."""
    currencies = {
        text(item, "id"): text(item, "currency")
        for item in rows.of("accounts")
        if "account_type" in item
    }
    for name, item in sorted(rows.by_id("transfers").items()):
        if text(item, "status") == "failed":
            continue
        wanted = text(item, "currency")
        for account in sorted({side for leg in legs_of(item) for side in leg[:2]}):
            if currencies.get(account, wanted) != wanted:
                yield f"{name} of {wanted} touches {account} of {currencies[account]}"
