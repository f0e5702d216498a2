"""What the payment routes answer, by where a payment or an operation on it stands."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from runtime.core.errors import Declined, IdempotencyInFlight, RefundFailed
from runtime.core.scope import Scope
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer, problem, success
from runtime.idempotency.claims import same_request, stored_answer
from runtime.idempotency.models import IdempotencyRecord
from runtime.payments.api import PaymentAnswer, PaymentDetail, TransactionAnswer
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
    """A payment with everything that was done for it."""
    return PaymentDetail(
        **PaymentAnswer.of(payment).model_dump(),
        transactions=tuple(TransactionAnswer.of(each) for each in transactions),
    )


def charge_answer(payment: Payment, request_id: str) -> StoredAnswer:
    """What the payment's POST (the request `request_id`) answers, by where the payment stands."""
    if payment.status is PaymentStatus.FAILED:
        code = payment.failure_code or ""
        declined = Declined(
            f"{payment.failure_reason} ({code})",
            decline_code=code,
            payment_id=payment.id,
            retriable=code in RETRIABLE_DECLINES,
        )
        return problem(declined, instance=PATH, request_id=request_id)
    settled = payment.status not in (PaymentStatus.PROCESSING, PaymentStatus.UNKNOWN)
    status = HTTPStatus.CREATED if settled else HTTPStatus.ACCEPTED
    return success(status, PaymentAnswer.of(payment))


def operation_answer(
    payment: Payment, transactions: Iterable[Transaction], operation: Transaction, request_id: str
) -> StoredAnswer:
    """What the POST of a capture, cancel or refund answers, by where `operation` stands."""
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


def answer_earlier(
    record: IdempotencyRecord, call: Call, deps: PaymentDependencies
) -> StoredAnswer:
    """The first request's answer. What is unknown is shown as it stands.

    Raises IdempotencyKeyReused; IdempotencyInFlight while the first request may still be at work.
    """
    same_request(record, call)
    try:
        return stored_answer(record, call)
    except IdempotencyInFlight:
        standing = _standing(record, deps)
        if standing is None:
            raise
        return standing.again()


def charge_as_it_stands(
    payment_id: str, merchant_id: str, request_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """The answer of a charge that somebody else has taken further."""
    payment = deps.payments.get(payment_id, Scope(merchant_id))
    assert payment is not None, f"{payment_id} was begun and never deleted"
    return _as_stored(charge_answer(payment, request_id), payment.claim_key, payment_id, deps)


def operation_as_it_stands(
    operation_id: str, merchant_id: str, request_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """The answer of an operation that somebody else has taken further."""
    owner = Scope(merchant_id)
    operation = deps.payments.transaction(operation_id, owner)
    assert operation is not None, f"{operation_id} was begun and never deleted"
    payment = deps.payments.get(operation.payment_id, owner)
    assert payment is not None, f"{operation.payment_id} has {operation_id} and was never deleted"
    transactions = deps.payments.transactions_of(payment)
    # Read after the payment: what is pending here was pending then.
    (operation,) = (each for each in transactions if each.id == operation_id)
    standing = operation_answer(payment, transactions, operation, request_id)
    return _as_stored(standing, operation.claim_key, operation_id, deps)


def _as_stored(
    standing: StoredAnswer, claim_key: str | None, resource_id: str, deps: PaymentDependencies
) -> StoredAnswer:
    """`standing`; where it is final, the answer that was stored with it and is repeated exactly.

    The payment may have gone on since. Nothing is stored where no key could be had for it.
    """
    if standing.status == HTTPStatus.ACCEPTED or claim_key is None:
        return standing
    record = deps.claims.read(claim_key)
    if record is None or record.resource_id != resource_id:
        return standing
    if record.status_code is None or record.response_body is None:
        return standing
    return StoredAnswer(record.status_code, record.response_body)


def _standing(record: IdempotencyRecord, deps: PaymentDependencies) -> StoredAnswer | None:
    """The answer of work whose outcome is not known yet; None while its first owner has it."""
    owner, resource = Scope(record.merchant_id), record.resource_id
    if resource is None:
        return None
    if resource.startswith(_OPERATION_PREFIX):
        operation = deps.payments.transaction(resource, owner)
        if operation is None or operation.lease_owner == record.owner:
            return None
        return operation_as_it_stands(resource, record.merchant_id, record.request_id, deps)
    payment = deps.payments.get(resource, owner)
    if payment is None or payment.status is PaymentStatus.PROCESSING:
        return None
    return charge_as_it_stands(resource, record.merchant_id, record.request_id, deps)
