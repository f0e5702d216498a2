"""Taking a payment: charge a payment method once per idempotency key, or authorize it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from runtime.core.echo import echoed
from runtime.core.errors import (
    AmountTooLarge,
    FailedBefore,
    InactiveMerchant,
    InvalidValue,
    NotFound,
    StaleWrite,
)
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import new_claim
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import MerchantProfile, MerchantStatus
from runtime.payments.answers import charge_answer, current_charge_answer
from runtime.payments.api import PaymentRequest
from runtime.payments.charge.outcome import (
    lockout_attempt,
    outcome_of,
    status_bucket,
    unknown_payment,
)
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors.configuration import require_mode
from runtime.payments.processors.port import ChargeRequest, Processor
from runtime.payments.rules import ProcessorAnswer
from runtime.payments.two_phase import commit_outcome, run_once

_STORED_PREFIX = "pm_"
_STORED_METHOD = re.compile(rf"{_STORED_PREFIX}[0-9A-HJKMNP-TV-Z]{{26}}")
"""Our own ids of stored payment methods; a processor's tokens may begin alike."""


def create_payment(request: PaymentRequest, call: Call, deps: PaymentDependencies) -> StoredAnswer:
    """Charge or authorize once per key: 201, 402 when declined, 202 while unknown.

    Raises IdempotencyKeyReused, IdempotencyInFlight, NotFound, InvalidValue, Locked, RateLimited,
    Unavailable.
    """
    merchant = deps.merchants.require(call.caller.merchant(call.acting_for))
    attempt = call.new_id("att")
    claim = new_claim(call, merchant.id, owner=attempt, index_buckets=merchant.index_buckets)
    assert claim is not None, "the route requires an idempotency key"
    payment = _intent(request, call, merchant, claim, deps)
    claim = claim.model_copy(update={"resource_id": payment.id})
    return run_once(Charge(payment, request, merchant, deps), claim, call, deps)


@dataclass
class Charge:
    """A payment's charge, as a step (processor_steps.py)."""

    payment: Payment
    request: PaymentRequest
    merchant: MerchantProfile
    deps: PaymentDependencies
    _connector: Processor | None = field(default=None, repr=False)
    _token: str = field(default="", repr=False)

    def begin(self, claim: IdempotencyRecord) -> None:
        """Claim, intent and the merchant's count of payments.

        Raises AlreadyClaimed, NotFound, InvalidValue, AmountTooLarge, RateLimited, Locked.
        """
        # Made before the intent: what is wrong with the merchant's configuration shows here.
        self._connector = self.deps.connectors.of_payment(self.payment)
        require_mode(self.payment.processor, self._connector, self.deps.timing.processors)
        self._token = _processor_token(self.request, self.merchant, self._connector, self.deps)
        self._connector.check_method(self._token)
        _refuse_what_the_merchant_may_not(self.request, self.merchant)
        now = to_datetime(self.payment.created_at)
        with self.deps.limits.admitted(self.merchant, claim.owner, now) as counted:
            try:
                self.deps.payments.begin(self.payment, claim, now, counted)
            except FailedBefore:
                self.payment = self.payment.model_copy(update={"follows_failure": True})
                self.deps.payments.begin(self.payment, claim, now, counted)

    def ask(self) -> ProcessorAnswer:
        """The processor's answer to the charge. Raises ProcessorUnknown."""
        assert self._connector is not None, f"{self.payment.id} was not begun"
        request = replace(charge_request(self.payment), payment_method=self._token)
        return self._connector.charge(request)

    def mark_unknown(self) -> StoredAnswer:
        """The payment becomes unknown: 202."""
        outside = self.deps.outside
        now = outside.now()
        cause = outside.new_id("unk", now)
        unknown = unknown_payment(self.payment, self.merchant, now, cause)
        try:
            self.deps.payments.advance(self.payment, unknown, token=cause)
        except StaleWrite:
            return self._current_answer()
        return charge_answer(unknown, self.payment.request_id)

    def settle(self, reply: ProcessorAnswer, claim: IdempotencyRecord) -> StoredAnswer:
        """Payment, transaction, booking and answer."""
        try:
            return settle_charge(
                self.payment,
                reply,
                claim,
                self.merchant,
                self.deps,
                request_id=self.payment.request_id,
            )
        except StaleWrite:
            return self._current_answer()

    def _current_answer(self) -> StoredAnswer:
        begun = self.payment
        return current_charge_answer(begun.id, begun.merchant_id, begun.request_id, self.deps)


def settle_charge(
    payment: Payment,
    reply: ProcessorAnswer,
    claim: IdempotencyRecord | None,
    merchant: MerchantProfile,
    deps: PaymentDependencies,
    *,
    request_id: str,
) -> StoredAnswer:
    """Second commit of a charge. Raises StaleWrite when the payment is not ours any more."""
    now = deps.outside.now()
    outcome = outcome_of(payment, reply, merchant, now, deps)
    answer = charge_answer(outcome.after, request_id)
    attempt = lockout_attempt(payment, reply, outcome.after.cause, deps.lockout, now)
    writes = replace(outcome.writes, attempt=attempt)
    commit_outcome(writes, answer, claim, token=deps.outside.new_id("out", now), deps=deps)
    return answer


def charge_request(payment: Payment) -> ChargeRequest:
    """What the processor is asked for this payment, always under the same reference."""
    return ChargeRequest(
        reference=payment.id,
        amount_minor=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        at=to_datetime(payment.created_at),
        capture=payment.capture_method == "automatic",
        statement_descriptor=payment.statement_descriptor,
    )


def _processor_token(
    request: PaymentRequest,
    merchant: MerchantProfile,
    connector: Processor,
    deps: PaymentDependencies,
) -> str:
    """What the processor will be given: a stored method is read and opened, a token is passed on.

    Raises NotFound for a method that the customer does not have; InvalidValue without a customer.
    """
    token = request.payment_method
    if _is_stored(token, connector):
        if request.customer_id is None:
            raise InvalidValue(
                "customer_id is required with a stored payment method", param="customer_id"
            )
        tokens = deps.customers.tokens(request.customer_id, Scope(merchant.id))
        if token not in tokens:
            raise NotFound(
                f"Customer {echoed(request.customer_id)} has no such payment method",
                param="payment_method",
            )
        token = tokens[token]
    return token


def _is_stored(payment_method: str, connector: Processor) -> bool:
    """Whether it names a payment method of a customer, and not one that the processor made."""
    if not payment_method.startswith(_STORED_PREFIX):
        return False
    if _STORED_METHOD.fullmatch(payment_method):
        return True
    try:
        connector.check_method(payment_method)
    except InvalidValue:
        return True
    return False


def _refuse_what_the_merchant_may_not(request: PaymentRequest, merchant: MerchantProfile) -> None:
    if merchant.status is not MerchantStatus.ACTIVE:
        raise InactiveMerchant(f"Merchant {merchant.id} is {merchant.status}")
    largest = merchant.rate_limits.max_payment_amount
    if largest is not None and request.amount > largest:
        raise AmountTooLarge(
            f"amount must be at most {largest}, the merchant's limit; got {request.amount}",
            param="amount",
        )


def _intent(
    request: PaymentRequest,
    call: Call,
    merchant: MerchantProfile,
    claim: IdempotencyRecord,
    deps: PaymentDependencies,
) -> Payment:
    payment_id = call.new_id("pay")
    now = to_timestamp(call.now)
    lease_end = to_timestamp(call.now + deps.intent_lease)
    status = PaymentStatus.PROCESSING
    return Payment(
        id=payment_id,
        merchant_id=merchant.id,
        merchant_status_bucket=status_bucket(merchant, payment_id, status),
        customer_id=request.customer_id,
        idempotency_scope=claim.key,
        open_bucket=deps.open_bucket(payment_id),
        next_action_at=lease_end,
        status=status,
        amount=request.amount,
        currency=request.currency,
        capture_method=request.capture_method,
        payment_method=request.payment_method,
        processor=merchant.processor,
        processor_account=merchant.processor_account,
        description=request.description,
        statement_descriptor=request.statement_descriptor,
        metadata=request.metadata,
        lease_owner=claim.owner,
        lease_expires_at=lease_end,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=claim.owner).stamp(),
    )
