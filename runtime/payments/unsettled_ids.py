"""The ids of settlements that collect what a merchant's settlement files do not contain."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Final

from runtime.core.ids import created_at, repeatable_id
from runtime.payments.transaction_models import Transaction

UNSETTLED: Final = "unsettled"
"""The `format` of these settlements."""


def unsettled_settlement_id(merchant_id: str, day: str) -> str:
    """The id of the settlement of a merchant's missing transactions of a day."""
    moment = datetime.combine(date.fromisoformat(day), time.min, UTC)
    return repeatable_id("set", moment, UNSETTLED, merchant_id, day)


def is_settled_as_missing(transaction: Transaction) -> bool:
    """Whether a decision about its missing line has settled it: accepted, or written off."""
    settlement_id = transaction.settlement_id
    if settlement_id is None:
        return False
    try:
        day = created_at(settlement_id).date().isoformat()
    except ValueError:
        return False  # ids of settlements of files contain no time
    return settlement_id == unsettled_settlement_id(transaction.merchant_id, day)
