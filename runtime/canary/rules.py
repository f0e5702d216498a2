"""What a run of the canary is called, and what it expects of each answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from runtime.ledger.rules import receivable_account
from runtime.payments.posting_ids import posting_id
from runtime.settings import CANARY_AMOUNT_MINOR

CURRENCY: Final = "USD"
PAYMENT_METHOD: Final = "tok_approved"
"""The sandbox's token of a card that is approved."""
REPEATED: Final = frozenset({409, 429, 503})
"""Answers to repeat with the same key: in flight in another run, over a limit, or overloaded."""


class UnexpectedAnswer(Exception):
    """An answer of the API differs from the expected one; the message says where and how."""


def run_id(scheduled_at: datetime) -> str:
    """Name of the run of a schedule's time, and so of its idempotency keys.

    Each delivery and each retry of one scheduled event has the same name.
    """
    return scheduled_at.astimezone(UTC).strftime("canary-%Y%m%dT%H%M%SZ")


def payment_request(run: str) -> dict[str, Any]:
    """The body of the payment. It depends on the run alone: a repeated key has the same body."""
    return {
        "amount": CANARY_AMOUNT_MINOR,
        "currency": CURRENCY,
        "payment_method": PAYMENT_METHOD,
        "description": run,
    }


def require(name: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Compare some fields of an answer. Raises UnexpectedAnswer with those that differ."""
    differing = [
        f"{field} is {found.get(field)!r}, not {value!r}"
        for field, value in expected.items()
        if found.get(field) != value
    ]
    if differing:
        raise UnexpectedAnswer(f"{name}: {'; '.join(differing)}")


def require_payment(payment: Mapping[str, Any], merchant_id: str) -> None:
    """The answer to the payment. Its refund may have been made by an earlier attempt of the run."""
    expected = {
        "merchant_id": merchant_id,
        "amount": CANARY_AMOUNT_MINOR,
        "currency": CURRENCY,
        "amount_captured": CANARY_AMOUNT_MINOR,
    }
    require("payment", expected, payment)


def require_refunded(payment: Mapping[str, Any]) -> None:
    """The payment as it is read after the refund."""
    expected = {"amount_captured": CANARY_AMOUNT_MINOR, "amount_refunded": CANARY_AMOUNT_MINOR}
    require("refunded payment", expected, payment)
    transactions = payment.get("transactions", ())
    kinds = sorted(f"{each['type']} {each['status']}" for each in transactions)
    if kinds != ["capture succeeded", "refund succeeded"]:
        raise UnexpectedAnswer(f"refunded payment: its transactions are {', '.join(kinds)}")


def statement_path(merchant_id: str) -> str:
    """The statement of what the merchant is owed, newest first."""
    return f"/v1/accounts/{receivable_account(merchant_id, CURRENCY)}/entries?limit=100"


def expected_entries(payment: Mapping[str, Any]) -> dict[str, int]:
    """Amounts by transfer that the statement shows: the capture less its fee, and the refund."""
    return {
        posting_id(each["id"]): (
            each["amount"] - each["fee"] if each["type"] == "capture" else -each["amount"]
        )
        for each in payment["transactions"]
    }


def missing_entries(expected: Mapping[str, int], entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Expected entries that the statement does not show yet.

    Raises:
        UnexpectedAnswer: it shows one twice, or with another amount.
    """
    shown: dict[str, int] = {}
    for entry in entries:
        transfer, amount = entry["transfer_id"], entry["amount"]
        if transfer not in expected:
            continue
        if transfer in shown or amount != expected[transfer]:
            raise UnexpectedAnswer(
                f"statement: {transfer} is shown with {amount}"
                + (", again" if transfer in shown else f", not {expected[transfer]}")
            )
        shown[transfer] = amount
    return sorted(expected.keys() - shown.keys())
