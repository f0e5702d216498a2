"""The same transfer with PynamoDB, without idempotency rows: seven round trips.

The payment is put by itself, as in `transfer_baselines`.
"""

from __future__ import annotations

from typing import Any

from benchmarks.rivals import transfer_baselines as rivals
from benchmarks.rivals.ways.go import GoWay
from benchmarks.rivals.worker import GaveUp, Transfer
from tests.support.engines.engine import REGION

CREDENTIALS = ("testing", "testing")


class PynamoWay(GoWay):
    """The Go example's tables, with accounts of its own."""

    prefix = "pynamodb"

    def connect(self) -> Transfer:
        """Its models."""
        url: Any = self._engine.endpoint_url
        moved, _ = rivals.by_pynamodb(url, REGION, CREDENTIALS)

        def transfer(source: int, target: int | None, gave_up: GaveUp) -> int:
            return moved(self.account(source), self.account(target), 1, gave_up)

        return transfer


def way(url: str, accounts: int) -> PynamoWay:
    """Transfers by PynamoDB."""
    return PynamoWay(url, accounts)
