"""A customer who pays, and the commits of the decline that locks."""

from __future__ import annotations

from typing import Any

from runtime.core.timestamps import to_timestamp
from runtime.customers.customers import unlock_customer
from runtime.customers.models import Customer
from runtime.http.responses import StoredAnswer
from tests.support.platform import Platform

HALF_AN_HOUR = 1_800
MANY_FAILURES = 100
FIRST_INTENT, INTENT, CHARGE, FIRST_OUTCOME, OUTCOME = range(1, 6)
"""Commits of the decline that locks: its intent and its outcome are refused once."""


class Buyer:
    """A customer who pays."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.shop = platform.merchant()
        self.id = platform.customer(self.shop)

    def pay(self, token: str | None = None, key: str | None = None, **more: Any) -> StoredAnswer:
        body = {"customer_id": self.id, "payment_method": token or "tok_approved", **more}
        return self.platform.pay(self.shop, key, **body)

    def fail(self, times: int) -> None:
        for _ in range(times):
            assert self.pay("tok_declined").status == 402

    @property
    def row(self) -> Customer:
        (row,) = (each for each in self.platform.rows(Customer) if each.id == self.id)
        return row

    @property
    def standing(self) -> tuple[int, bool]:
        """Consecutive failures, and whether the customer is locked."""
        until = self.row.locked_until
        return self.row.failed_attempts, until is not None and until > to_timestamp(
            self.platform.clock()
        )

    def unlock(self) -> None:
        call = self.platform.call(None, {}, path=f"/v1/customers/{self.id}/unlock", operator=True)
        unlock_customer(self.id, call, self.platform.customer_dependencies())
