"""The responses of the payment routes, derived from the state of a payment or operation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from runtime.core.errors import Declined, IdempotencyInFlight, RefundFailed
from runtime.core.scope import Scope
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem, success
from runtime.idempotency.claims import same_request, stored_answer
from runtime.idempotency.models import IdempotencyRecord
from runtime.payments.api import (
    ActionSecret,
    CreatedPaymentAnswer,
    NextAction,
    PaymentAnswer,
    PaymentDetail,
    TransactionAnswer,
)
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.rules import RETRIABLE_DECLINES
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType

PATH: Final = "/v1/payments"
_ROUTES: Final = {
    TransactionType.CAPTURE: "capture",
    TransactionType.REFUND: "refund",
    TransactionType.VOID: "cancel",
}
_OPERATION_PREFIX: Final = "txn_"


def detail_of(payment: Payment, transactions: Iterable[Transaction]) -> PaymentDetail:
    """A payment with its transactions."""
    shown = tuple(TransactionAnswer.of(each) for each in transactions)
    return PaymentDetail.with_members(payment, transactions=shown)


def charge_answer(payment: Payment, request_id: str) -> StoredAnswer:
    """The response to the request that created the payment, given the payment's state."""
    if payment.status is PaymentStatus.FAILED:
        code = payment.failure_code or ""
        declined = Declined(
            f"{payment.failure_reason} ({code})",
            decline_code=code,
            payment_id=payment.id,
            retriable=code in RETRIABLE_DECLINES,
        )
        return problem(declined, instance=PATH, request_id=request_id)
    if payment.status is PaymentStatus.REQUIRES_ACTION:
        return Waiting(payment, None).answer("")
    settled = payment.status not in (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)
    status = HTTPStatus.CREATED if settled else HTTPStatus.ACCEPTED
    return success(status, PaymentAnswer.of(payment))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A payment that waits for its customer, and what the customer has to do.

    `action` is None where the open claim does not have it.
    """

    payment: Payment
    action: ActionSecret | None = field(repr=False)

    def answer(self, api_url: str) -> StoredAnswer:
        """202 with what to do. `api_url`: where this request reached the API."""
        shown, secret = None, None
        if self.action is not None:
            url = self.action.url
            if url is not None and url.startswith("/"):
                url = api_url + url
            expiry = self.payment.action_expires_at
            shown = NextAction(type=self.action.type, url=url, expires_at=expiry)
            secret = self.action.client_secret
        body = CreatedPaymentAnswer.with_members(
            self.payment, next_action=shown, client_secret=secret
        )
        return success(HTTPStatus.ACCEPTED, body)


def operation_answer(
    payment: Payment, transactions: Iterable[Transaction], operation: Transaction, request_id: str
) -> StoredAnswer:
    """The response to a capture, cancel or refund, given the state of `operation`."""
    if operation.status is TransactionStatus.FAILED:
        code = operation.response_code or ""
        kind = RefundFailed if operation.type is TransactionType.REFUND else Declined
        refused = kind(
            f"{operation.response_text} ({code})",
            decline_code=code,
            payment_id=payment.id,
            retriable=code in RETRIABLE_DECLINES,
        )
        path = f"{PATH}/{payment.id}/{_ROUTES[operation.type]}"
        return problem(refused, instance=path, request_id=request_id)
    pending = operation.status is TransactionStatus.PENDING
    status = HTTPStatus.ACCEPTED if pending else HTTPStatus.OK
    return success(status, detail_of(payment, transactions))


def answer_repeat(record: IdempotencyRecord, call: Call, deps: PaymentDependencies) -> StoredAnswer:
    """The answer to a repeated request: the first request's answer, or the current state.

    Raises IdempotencyKeyReused; IdempotencyInFlight while the first request may still be running.
    """
    same_request(record, call)
    try:
        return stored_answer(record, call)
    except IdempotencyInFlight:
        current = _unfinished_answer(record, call.api_url, deps)
        if current is None:
            raise
        return current.again()


def current_charge_answer(
    begun: Payment, api_url: str, request_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """The current answer of a charge that another process has continued."""
    payment = deps.payments.get(begun.id, Scope(begun.merchant_id))
    assert payment is not None, f"{begun.id} does not exist; payments are never deleted"
    if payment.status is PaymentStatus.REQUIRES_ACTION:
        return _waiting_answer(payment, api_url, deps)
    return _as_stored(charge_answer(payment, request_id), payment.claim_key, payment.id, deps)


def _waiting_answer(payment: Payment, api_url: str, deps: PaymentDependencies) -> StoredAnswer:
    """The answer of a charge that waits for its customer, with what its claim has kept.

    If the charge has been decided since the payment was read, its final answer.
    """
    claim = None if payment.claim_key is None else deps.claims.read(payment.claim_key)
    if claim is None or claim.resource_id != payment.id or claim.response_body is None:
        return Waiting(payment, None).answer(api_url)
    if claim.status_code is not None:
        return StoredAnswer(claim.status_code, claim.response_body)
    action = ActionSecret.model_validate_json(claim.response_body)
    return Waiting(payment, action).answer(api_url)


def current_operation_answer(
    operation_id: str, merchant_id: str, request_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """The current answer of an operation that another process has continued."""
    owner = Scope(merchant_id)
    operation = deps.payments.transaction(operation_id, owner)
    assert operation is not None, f"{operation_id} does not exist; it is never deleted"
    payment = deps.payments.get(operation.payment_id, owner)
    assert payment is not None, f"{operation.payment_id} does not exist; it is never deleted"
    transactions = deps.payments.transactions_of(payment)
    # Read after the payment, so an operation that is pending here was pending there too.
    (operation,) = (each for each in transactions if each.id == operation_id)
    answer = operation_answer(payment, transactions, operation, request_id)
    return _as_stored(answer, operation.claim_key, operation_id, deps)


def _as_stored(
    current: StoredAnswer, claim_key: str | None, resource_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """The answer stored with the outcome, if there is one; otherwise `current`.

    The payment may have changed since its outcome. No answer is stored while the outcome is
    unknown, or if no data key was available to encrypt it.
    """
    if current.status == HTTPStatus.ACCEPTED or claim_key is None:
        return current
    record = deps.claims.read(claim_key)
    if record is None or record.resource_id != resource_id:
        return current
    if record.status_code is None or record.response_body is None:
        return current
    return StoredAnswer(record.status_code, record.response_body)


def _unfinished_answer(
    record: IdempotencyRecord, api_url: str, deps: PaymentDependencies
) -> StoredAnswer | None:
    """The answer of unfinished work; None while the first request still owns it."""
    owner, resource = Scope(record.merchant_id), record.resource_id
    if resource is None:
        return None
    if resource.startswith(_OPERATION_PREFIX):
        operation = deps.payments.transaction(resource, owner)
        if operation is None or operation.lease_owner == record.owner:
            return None
        return current_operation_answer(resource, record.merchant_id, record.request_id, deps)
    payment = deps.payments.get(resource, owner)
    if payment is None or payment.status is PaymentStatus.PROCESSING:
        return None
    return current_charge_answer(payment, api_url, record.request_id, deps)
