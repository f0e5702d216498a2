"""Taking a payment: two commits that bracket the processor's call.

1. The claim and the intent, in one transaction; nothing was charged yet.
2. The processor, with the payment's id as our reference: it charges once per reference.
3. The outcome: payment, transaction, booking and stored answer, in one transaction.

Dying between 1 and 3 leaves an open payment whose lease runs out; the resolver
(payment_resolution.py) finishes it by asking the processor. Nothing is ever charged under a second
reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from runtime.contract.answers import StoredAnswer, problem, success
from runtime.contract.call import Call
from runtime.contract.payments import PaymentAnswer, PaymentRequest
from runtime.domain.buckets import OPEN_BUCKETS, bucket_for
from runtime.domain.idempotency import is_expired
from runtime.domain.ids import new_id
from runtime.domain.instants import to_epoch_seconds, to_instant
from runtime.errors import (
    AlreadyClaimed,
    AmountTooLarge,
    IdempotencyInFlight,
    InactiveMerchant,
    InvalidValue,
    KeysUnavailable,
    NotFound,
    PlatformError,
    ProcessorUnknown,
    StaleWrite,
)
from runtime.gateways.processors.port import ChargeRequest, Processor
from runtime.models.idempotency import IdempotencyRecord
from runtime.models.merchant import MerchantProfile, MerchantStatus
from runtime.models.payment import Payment, PaymentStatus
from runtime.models.scope import Scope
from runtime.observability import logger
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.payments import OPEN_QUEUE, PaymentRepository
from runtime.services.idempotency import (
    ClaimReader,
    completed,
    new_claim,
    same_request,
    stored_answer,
)
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.payment_outcome import (
    Outcome,
    answer_of,
    outcome_of,
    status_bucket,
    without_answer,
)
from runtime.settings import PaymentTiming

STORED_METHOD_PREFIX = "pm_"


@dataclass(frozen=True)
class PaymentDesk:
    """What taking a payment works with. `clock` gives the time at which an outcome is known."""

    payments: PaymentRepository
    customers: CustomerRepository
    claims: ClaimReader
    merchants: MerchantProfiles
    processors: Mapping[str, Processor]
    timing: PaymentTiming
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def create_payment(request: PaymentRequest, call: Call, desk: PaymentDesk) -> StoredAnswer:
    """Charge a payment method once per idempotency key: 201, 402 when declined, 202 while unknown.

    Raises IdempotencyKeyReused, IdempotencyInFlight, NotFound, InvalidValue, Unavailable.
    """
    merchant = desk.merchants.require(call.caller.merchant(call.acting_for))
    attempt = new_id("att", call.now)
    claim = new_claim(call, merchant.id, owner=attempt, index_buckets=merchant.index_buckets)
    assert claim is not None, "the route requires an idempotency key"
    try:
        token = _processor_token(request, merchant, desk)
    except NotFound:
        # The method may have been deleted since this very request was answered.
        before = desk.claims.read(claim.key)
        if before is None or is_expired(before, call.now):
            raise
        return _answer_earlier(before, call, desk)
    desk.payments.prepare(claim)
    payment = _intent(request, call, merchant, claim, desk.timing)
    try:
        _refuse_what_the_merchant_may_not(request, merchant)
        desk.payments.begin(payment, claim.model_copy(update={"resource_id": payment.id}), call.now)
    except (AmountTooLarge, InactiveMerchant) as refusal:
        return _store_refusal(refusal, claim, call, desk)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != attempt:
            return _answer_earlier(earlier.record, call, desk)
    claim = claim.model_copy(update={"resource_id": payment.id})
    return _charge(payment, token, claim, merchant, desk)


def charge_request(payment: Payment, now: datetime) -> ChargeRequest:
    """What the processor is asked for this payment, always under the same reference."""
    return ChargeRequest(
        reference=payment.id,
        amount_minor=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        at=now,
    )


def _processor_token(request: PaymentRequest, merchant: MerchantProfile, desk: PaymentDesk) -> str:
    """What the processor will be given: a stored method is read and opened, a token is passed on.

    Raises NotFound for a method that the customer does not have; InvalidValue.
    """
    token = request.payment_method
    if token.startswith(STORED_METHOD_PREFIX):
        if request.customer_id is None:
            raise InvalidValue("a stored payment method needs its customer_id", param="customer_id")
        tokens = desk.customers.tokens(request.customer_id, Scope(merchant.id))
        if token not in tokens:
            raise NotFound(
                f"customer {request.customer_id} has no payment method {token}",
                param="payment_method",
            )
        token = tokens[token]
    desk.processors[merchant.processor].check_method(token)
    return token


def _refuse_what_the_merchant_may_not(request: PaymentRequest, merchant: MerchantProfile) -> None:
    if merchant.status is not MerchantStatus.ACTIVE:
        raise InactiveMerchant(f"merchant {merchant.id} is {merchant.status}")
    largest = merchant.rate_limits.max_payment_amount
    if largest is not None and request.amount > largest:
        raise AmountTooLarge(
            f"amount {request.amount} is above the merchant's largest payment {largest}",
            param="amount",
        )


def _intent(
    request: PaymentRequest,
    call: Call,
    merchant: MerchantProfile,
    claim: IdempotencyRecord,
    timing: PaymentTiming,
) -> Payment:
    payment_id = new_id("pay", call.now)
    now = to_instant(call.now)
    lease_end = to_instant(call.now + timedelta(seconds=timing.intent_lease_seconds))
    status = PaymentStatus.PROCESSING
    return Payment(
        id=payment_id,
        merchant_id=merchant.id,
        merchant_status_bucket=status_bucket(merchant, payment_id, status),
        customer_id=request.customer_id,
        idempotency_scope=claim.key,
        open_bucket=bucket_for(OPEN_QUEUE, payment_id, OPEN_BUCKETS),
        next_action_at=lease_end,
        status=status,
        amount=request.amount,
        currency=request.currency,
        capture_method=request.capture_method,
        payment_method=request.payment_method,
        processor=merchant.processor,
        description=request.description,
        statement_descriptor=request.statement_descriptor,
        metadata=request.metadata,
        claim_key=claim.key,
        lease_owner=claim.owner,
        lease_expires_at=lease_end,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=claim.owner).stamp(),
    )


def _charge(
    payment: Payment,
    token: str,
    claim: IdempotencyRecord,
    merchant: MerchantProfile,
    desk: PaymentDesk,
) -> StoredAnswer:
    processor = desk.processors[merchant.processor]
    try:
        reply = processor.charge(
            replace(charge_request(payment, desk.clock()), payment_method=token)
        )
    except ProcessorUnknown:
        return _remember_unknown(payment, merchant, desk)
    outcome = outcome_of(payment, reply, merchant, desk.clock(), request_id=payment.request_id)
    try:
        record(outcome, claim, token=new_id("out", desk.clock()), desk=desk)
    except StaleWrite:
        return _answer_as_it_stands(payment, desk)
    return outcome.answer


def record(
    outcome: Outcome, claim: IdempotencyRecord | None, *, token: str, desk: PaymentDesk
) -> None:
    """Second commit: everything that the processor's answer changes. Raises StaleWrite."""

    def write(answered: IdempotencyRecord | None) -> None:
        desk.payments.record_outcome(
            outcome.before,
            outcome.after,
            token=token,
            transaction=outcome.transaction,
            transfer=outcome.transfer,
            claim=answered,
        )

    if claim is None:
        return write(None)
    try:
        write(completed(claim, outcome.answer, to_epoch_seconds(desk.clock())))
    except KeysUnavailable as error:
        # A charge that happened is booked, keys or no keys; the payment itself answers repetitions.
        logger.error("the answer could not be enciphered and is not kept", detail=error.detail)
        write(None)


def _remember_unknown(
    payment: Payment, merchant: MerchantProfile, desk: PaymentDesk
) -> StoredAnswer:
    unknown = without_answer(payment, merchant, desk.clock())
    try:
        desk.payments.advance(payment, unknown, token=new_id("unk", desk.clock()))
    except StaleWrite:
        return _answer_as_it_stands(payment, desk)
    return success(HTTPStatus.ACCEPTED, PaymentAnswer.of(unknown))


def _answer_as_it_stands(begun: Payment, desk: PaymentDesk) -> StoredAnswer:
    payment = desk.payments.get(begun.id, Scope(begun.merchant_id))
    assert payment is not None, f"{begun.id} was begun and never deleted"
    return answer_of(payment, begun.request_id)


def _answer_earlier(record: IdempotencyRecord, call: Call, desk: PaymentDesk) -> StoredAnswer:
    """The first request's answer; an unknown payment is shown as it stands."""
    same_request(record, call)
    try:
        return stored_answer(record, call)
    except IdempotencyInFlight:
        owner = Scope(record.merchant_id)
        payment = desk.payments.get(record.resource_id, owner) if record.resource_id else None
        if payment is None or payment.status is PaymentStatus.PROCESSING:
            raise
        return answer_of(payment, record.request_id).again()


def _store_refusal(
    refusal: PlatformError, claim: IdempotencyRecord, call: Call, desk: PaymentDesk
) -> StoredAnswer:
    """A business refusal is an answer too: the same key gets it again. An earlier answer wins."""
    answer = problem(refusal, instance=call.path, request_id=call.caller.request_id)
    try:
        desk.payments.refuse(completed(claim, answer, to_epoch_seconds(call.now)), call.now)
    except AlreadyClaimed as earlier:
        if earlier.record.owner != claim.owner:
            return _answer_earlier(earlier.record, call, desk)
    return answer
