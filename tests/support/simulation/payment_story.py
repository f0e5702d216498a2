"""Requests of clients with all their answers and times, and whether these are consistent."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from runtime.core.errors import IdempotencyInFlight, PlatformError
from runtime.http.responses import StoredAnswer
from runtime.idempotency.rules import claim_key
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType

if TYPE_CHECKING:
    from runtime.payments.dependencies import PaymentDependencies
    from tests.support.platform import Platform

KINDS = {
    "capture": TransactionType.CAPTURE,
    "cancel": TransactionType.VOID,
    "refund": TransactionType.REFUND,
}
PAY = "pay"


@dataclass(frozen=True)
class Order:
    """One request under one key, with all its repetitions. `payment_id` None: a charge."""

    key: str
    merchant: MerchantProfile
    what: str
    payment_id: str | None
    body: dict[str, Any]

    def send(self, platform: Platform, deps: PaymentDependencies) -> StoredAnswer:
        """Send it once. Raises what the service raises."""
        if self.payment_id is None:
            return platform.pay(self.merchant, self.key, deps=deps, **self.body)
        return platform.operate(
            self.merchant, self.payment_id, self.what, self.key, deps=deps, **self.body
        )

    @property
    def claim_key(self) -> str:
        """The key of its stored answer."""
        path = "/v1/payments"
        if self.payment_id is not None:
            path += f"/{self.payment_id}/{self.what}"
        return claim_key(self.merchant.id, "POST", path, self.key)


@dataclass(frozen=True)
class Heard:
    """An answer or a refusal, with logical times of the request and the response."""

    asked: int
    reported: int
    outcome: StoredAnswer | PlatformError

    @property
    def is_final(self) -> bool:
        """Whether every repetition must get exactly this."""
        answer = self.outcome
        return isinstance(answer, StoredAnswer) and answer.status != HTTPStatus.ACCEPTED


@dataclass
class Story:
    """All requests and their answers."""

    orders: dict[str, Order] = field(default_factory=dict)
    heard: dict[str, list[Heard]] = field(default_factory=lambda: defaultdict(list))
    unanswered: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    _moments: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(
        self, order: Order, platform: Platform, deps: PaymentDependencies
    ) -> StoredAnswer | PlatformError:
        """Send once and record the answer. Raises what ends a request without an answer."""
        with self._lock:
            self.orders[order.key] = order
            self.sent += 1
            asked = next(self._moments)
        outcome: StoredAnswer | PlatformError
        try:
            outcome = order.send(platform, deps)
        except PlatformError as refusal:
            if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            outcome = refusal
        with self._lock:
            self.heard[order.key].append(Heard(asked, next(self._moments), outcome))
            if isinstance(outcome, PlatformError):
                self.unanswered[type(outcome).__name__] += 1
        return outcome

    def latest(self, many: int) -> list[Order]:
        """The most recent requests; some may still be running."""
        with self._lock:
            return list(itertools.islice(reversed(self.orders.values()), many))

    def must_come_back(self, order: Order) -> bool:
        """Whether the last answer says that the result is still pending."""
        outcome = self.heard[order.key][-1].outcome
        if isinstance(outcome, StoredAnswer):
            return outcome.status == HTTPStatus.ACCEPTED
        return isinstance(outcome, IdempotencyInFlight)

    def operational_alerts(self, error: BaseException) -> None:
        """A request ended without an answer."""
        with self._lock:
            self.unanswered[type(error).__name__] += 1

    # ------------------------------------------------------------ consistency

    def must_be_consistent(self) -> None:
        """No key got two different answers, nor anything else after its final answer."""
        for key, heard in self.heard.items():
            final = [each for each in heard if each.is_final]
            reported = {(each.outcome.status, each.outcome.body) for each in final}  # type: ignore[union-attr]
            assert len(reported) <= 1, f"{self.orders[key]} was answered {reported}"
            answers = [each.outcome for each in heard if isinstance(each.outcome, StoredAnswer)]
            assert sum(not answer.replayed for answer in answers) <= 1, self.orders[key]
            if final:
                first = min(each.reported for each in final)
                later = [each for each in heard if each.asked > first and not each.is_final]
                assert not later, f"{self.orders[key]} was answered {final[0]}, and then {later[0]}"
            self._must_be_about_one_payment(answers)

    @staticmethod
    def _must_be_about_one_payment(answers: list[StoredAnswer]) -> None:
        documents = [json.loads(answer.body) for answer in answers]
        named = {document.get("id") or document.get("payment_id") for document in documents}
        assert len(named - {None}) <= 1, named

    def must_be_true(self, platform: Platform) -> Counter[str]:
        """Each key had the one effect of its last answer. Returns answers by status."""
        payments = {row.claim_key: row for row in platform.payments()}
        operations = {
            row.claim_key: row for row in platform.rows(Transaction) if row.claim_key is not None
        }
        claims = {claim.key: claim for claim in platform.claims()}
        by_key = {order.claim_key: order for order in self.orders.values()}
        assert len(by_key) == len(self.orders)
        assert set(payments) | set(operations) <= set(claims) & set(by_key)
        reported: Counter[str] = Counter()
        net: Counter[str] = Counter()
        for key, order in by_key.items():
            last = self.heard[order.key][-1]
            if not last.is_final:
                assert isinstance(last.outcome, PlatformError), last
                assert not isinstance(last.outcome, IdempotencyInFlight), order
                assert key not in claims, f"{order} was refused, and has a claim"
                reported[type(last.outcome).__name__] += 1
                continue
            answer = last.outcome
            assert isinstance(answer, StoredAnswer)
            claim = claims[key]
            assert (claim.status_code, claim.response_body) == (answer.status, answer.body)
            reported[f"{order.what} {answer.status}"] += 1
            if order.payment_id is None:
                net.update(_payment_is_as_told(order, answer, payments.get(key)))
            else:
                net.update(_operation_is_as_told(order, answer, operations.get(key)))
        self._money_is_where_clients_were_told(platform, net)
        return reported

    @staticmethod
    def _money_is_where_clients_were_told(platform: Platform, net: Counter[str]) -> None:
        """Clearing, per currency, computed from the clients' answers alone."""
        balances = platform.balances()
        for currency, amount in net.items():
            assert balances[f"acc_clearing_{currency}"] == -amount, currency


def _payment_is_as_told(
    order: Order, answer: StoredAnswer, payment: Payment | None
) -> dict[str, int]:
    """What the charge captured at once, by currency."""
    document = json.loads(answer.body)
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        assert payment is None, order
        return {}
    assert payment is not None, order
    assert payment.id == document.get("id", document.get("payment_id"))
    assert (payment.amount, payment.currency) == (order.body["amount"], order.body["currency"])
    if answer.status == HTTPStatus.PAYMENT_REQUIRED:
        assert payment.status is PaymentStatus.FAILED, payment
        return {}
    assert answer.status == HTTPStatus.CREATED, answer
    assert payment.charge_id is not None
    return {payment.currency: document["amount_captured"]}


def _operation_is_as_told(
    order: Order, answer: StoredAnswer, operation: Transaction | None
) -> dict[str, int]:
    """What the operation captured or refunded, by currency."""
    if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        assert operation is None, order
        return {}
    assert operation is not None, order
    assert (operation.payment_id, operation.type) == (order.payment_id, KINDS[order.what])
    assert operation.amount == order.body.get("amount", operation.amount)
    if answer.status == HTTPStatus.PAYMENT_REQUIRED:
        assert operation.status is TransactionStatus.FAILED, operation
        return {}
    assert answer.status == HTTPStatus.OK, answer
    assert operation.status is TransactionStatus.SUCCEEDED, operation
    listed = {row["id"]: row["status"] for row in json.loads(answer.body)["transactions"]}
    assert listed[operation.id] == "succeeded"
    signs = {TransactionType.CAPTURE: 1, TransactionType.REFUND: -1, TransactionType.VOID: 0}
    return {operation.currency: signs[operation.type] * operation.amount}
