"""What answers to captures, cancels and refunds contain."""

from __future__ import annotations

import json
from typing import Any

from runtime.http.responses import StoredAnswer

MANUAL = {"capture_method": "manual"}


def reported(answer: StoredAnswer) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer.body)
    return document


def amounts(answer: StoredAnswer) -> tuple[str, int, int, int]:
    """Status, and what is capturable, captured and refunded."""
    document = reported(answer)
    assert answer.status == 200, document
    return (
        document["status"],
        document["amount_capturable"],
        document["amount_captured"],
        document["amount_refunded"],
    )


def done(answer: StoredAnswer) -> list[tuple[str, int, str]]:
    """The payment's operations, oldest first."""
    return [(t["type"], t["amount"], t["status"]) for t in reported(answer)["transactions"]]
