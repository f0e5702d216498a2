"""The mix of requests of a load test, each drawn from what the run has created so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final
from uuid import UUID

from operations.load.journal import KEY, REQUIRES_CAPTURE, RUN, SUCCEEDED, Journal
from operations.load.requests import Operation, Payment, Request
from operations.load.target import Target

MIX: Final[Mapping[Operation, int]] = {
    Operation.PAYMENT: 25,
    Operation.DECLINED: 3,
    Operation.AUTHORIZATION: 12,
    Operation.CAPTURE: 8,
    Operation.CANCELLATION: 2,
    Operation.REFUND: 8,
    Operation.TRANSFER: 20,
    Operation.READ_PAYMENT: 8,
    Operation.READ_ACCOUNT: 5,
    Operation.LIST_PAYMENTS: 3,
    Operation.LIST_TRANSFERS: 2,
    Operation.STATEMENT: 2,
    Operation.SUMMARY: 2,
}
"""Weights. A request that needs a payment which does not exist yet becomes a payment."""
LARGEST_AMOUNT: Final = 5_000
DECLINED_METHOD: Final = "tok_declined"
"""Of the sandbox processor; other processors have tokens of their own."""
_OF_ACCOUNTS: Final = (
    Operation.TRANSFER,
    Operation.READ_ACCOUNT,
    Operation.LIST_TRANSFERS,
    Operation.STATEMENT,
)


class Traffic:
    """Chooses requests. All that it creates carries the run's id in its metadata."""

    def __init__(self, target: Target, journal: Journal) -> None:
        self._target, self._journal = target, journal
        self._wallets = tuple(target.wallets)
        mix = dict(MIX)
        if not self._wallets:
            mix = {name: weight for name, weight in mix.items() if name not in _OF_ACCOUNTS}
        if not target.is_sandbox:
            del mix[Operation.DECLINED]
        self._operations, self._weights = list(mix), list(mix.values())
        self._makers: Mapping[Operation, Callable[[Random], Request | None]] = {
            Operation.PAYMENT: self._payment,
            Operation.DECLINED: self._declined,
            Operation.AUTHORIZATION: self._authorization,
            Operation.CAPTURE: self._capture,
            Operation.CANCELLATION: self._cancellation,
            Operation.REFUND: self._refund,
            Operation.TRANSFER: self._transfer,
            Operation.READ_PAYMENT: self._read_payment,
            Operation.READ_ACCOUNT: self._read_account,
            Operation.LIST_PAYMENTS: self._list_payments,
            Operation.LIST_TRANSFERS: self._list_transfers,
            Operation.STATEMENT: self._statement,
            Operation.SUMMARY: self._summary,
        }

    def next(self, dice: Random) -> Request:
        """The next request."""
        (chosen,) = dice.choices(self._operations, self._weights)
        return self._makers[chosen](dice) or self._payment(dice)

    # ------------------------------------------------------------ payments

    def _payment(self, dice: Random) -> Request:
        return self._charge(Operation.PAYMENT, dice)

    def _declined(self, dice: Random) -> Request:
        return self._charge(Operation.DECLINED, dice, payment_method=DECLINED_METHOD)

    def _authorization(self, dice: Random) -> Request:
        return self._charge(Operation.AUTHORIZATION, dice, capture_method="manual")

    def _charge(self, operation: Operation, dice: Random, **more: str) -> Request:
        key, amount = _key(dice), dice.randint(100, LARGEST_AMOUNT)
        body: dict[str, Any] = {
            "amount": amount,
            "currency": self._target.currency,
            "payment_method": self._target.payment_method,
            "metadata": {RUN: self._target.run_id, KEY: key},
            **more,
        }
        return Request(operation, "POST", "/v1/payments", body, key, amount=amount)

    def _capture(self, dice: Random) -> Request | None:
        payment = self._journal.take(REQUIRES_CAPTURE, dice)
        if payment is None:
            return None
        amount = dice.choice((payment.amount, dice.randint(1, payment.amount)))
        return self._operation(Operation.CAPTURE, "capture", payment, amount, dice)

    def _cancellation(self, dice: Random) -> Request | None:
        payment = self._journal.take(REQUIRES_CAPTURE, dice)
        if payment is None:
            return None
        return self._operation(Operation.CANCELLATION, "cancel", payment, 0, dice)

    def _refund(self, dice: Random) -> Request | None:
        payment = self._journal.take(SUCCEEDED, dice)
        if payment is None:
            return None
        amount = dice.randint(1, payment.captured - payment.refunded)
        return self._operation(Operation.REFUND, "refund", payment, amount, dice)

    def _operation(
        self, operation: Operation, verb: str, payment: Payment, amount: int, dice: Random
    ) -> Request:
        body = {"amount": amount} if amount else {}
        path = f"/v1/payments/{payment.id}/{verb}"
        return Request(operation, "POST", path, body, _key(dice), amount=amount, payment=payment)

    # ------------------------------------------------------------ transfers

    def _transfer(self, dice: Random) -> Request:
        source, target = dice.sample(self._wallets, 2)
        key, amount = _key(dice), dice.randint(1, LARGEST_AMOUNT)
        body = {
            "from_account_id": source,
            "to_account_id": target,
            "amount": amount,
            "currency": self._target.currency,
            "metadata": {RUN: self._target.run_id, KEY: key},
        }
        return Request(Operation.TRANSFER, "POST", "/v1/transfers", body, key, amount=amount)

    # ------------------------------------------------------------ reads

    def _read_payment(self, dice: Random) -> Request | None:
        payment = self._journal.any_payment(dice)
        if payment is None:
            return None
        path = f"/v1/payments/{payment.id}"
        return Request(Operation.READ_PAYMENT, "GET", path, payment=payment)

    def _read_account(self, dice: Random) -> Request:
        return Request(Operation.READ_ACCOUNT, "GET", f"/v1/accounts/{self._wallet(dice)}")

    def _list_payments(self, _: Random) -> Request:
        return Request(Operation.LIST_PAYMENTS, "GET", "/v1/payments", query={"limit": 20})

    def _list_transfers(self, dice: Random) -> Request:
        query: dict[str, str | int] = {"account_id": self._wallet(dice), "limit": 20}
        return Request(Operation.LIST_TRANSFERS, "GET", "/v1/transfers", query=query)

    def _statement(self, dice: Random) -> Request:
        path = f"/v1/accounts/{self._wallet(dice)}/entries"
        return Request(Operation.STATEMENT, "GET", path, query={"limit": 20})

    def _summary(self, _: Random) -> Request:
        return Request(Operation.SUMMARY, "GET", "/v1/payments/summary")

    def _wallet(self, dice: Random) -> str:
        return dice.choice(self._wallets)


def _key(dice: Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))
