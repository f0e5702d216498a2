"""Create a payment: charge or authorize a payment method, once per idempotency key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import timedelta

from runtime.core.change_context import ChangeContext
from runtime.core.echo import echoed
from runtime.core.errors import (
    AmountTooLarge,
    FailedBefore,
    InactiveMerchant,
    InvalidValue,
    NotFound,
    ProcessorUnknown,
    StaleWrite,
)
from runtime.core.observability import logger
from runtime.core.scope import Scope
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.customers.repository import CustomerTokens
from runtime.dynamodb.index_shards import payment_open_bucket, reference_bucket
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import new_claim
from runtime.idempotency.models import IdempotencyRecord
from runtime.merchants.models import MerchantProfile, MerchantStatus
from runtime.payments.answers import Waiting, charge_answer, current_charge_answer
from runtime.payments.api import ActionSecret, PaymentRequest
from runtime.payments.charge.outcome import (
    lockout_attempt,
    outcome_of,
    unknown_payment,
    waiting_payment,
)
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors.configuration import require_mode
from runtime.payments.processors.port import ChargeRequest, Processor
from runtime.payments.rules import ActionRequired, ProcessorAnswer
from runtime.payments.two_phase import (
    begin_once,
    commit_outcome,
    committed_once,
    log_declined,
    log_lost_answer,
)

_STORED_PREFIX = "pm_"
_STORED_METHOD = re.compile(rf"{_STORED_PREFIX}[0-9A-HJKMNP-TV-Z]{{26}}")
"""The ids of stored payment methods. Tokens of a processor may begin with the same prefix."""
_DEFAULT_METHOD = ""
"""The payment method of an intent that is to use its customer's default, until that is read."""


@dataclass(frozen=True, slots=True)
class _Method:
    """A payment method as the request names it, or a stored one's id; and what to charge."""

    name: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A charge after the first commit. `token`: the payment method's token at the processor."""

    payment: Payment
    connector: Processor
    token: str = field(repr=False)


def create_payment(request: PaymentRequest, call: Call, deps: PaymentDependencies) -> StoredAnswer:
    """Charge or authorize once per key: 201, 402 if declined.

    202 while the outcome is unknown, and while the charge waits for its customer.

    Raises IdempotencyKeyReused, IdempotencyInFlight, NotFound, InvalidValue, Locked, RateLimited,
    Unavailable.
    """
    merchant = deps.merchants.require(call.caller.merchant(call.acting_for))
    attempt = call.new_id("att")
    claim = new_claim(call, merchant.id, owner=attempt, index_buckets=merchant.index_buckets)
    assert claim is not None, "the route requires an idempotency key"
    intent = _intent(request, call, merchant, claim, deps)
    claim = claim.model_copy(update={"resource_id": intent.id})

    begun = begin_once(lambda: _begin(intent, request, claim, merchant, deps), claim, call, deps)
    if isinstance(begun, StoredAnswer):
        return begun
    payment = begun.payment
    try:
        charge = replace(
            charge_request(payment),
            payment_method=begun.token,
            return_url=request.return_url,
        )
        reply = begun.connector.charge(charge)
    except ProcessorUnknown as lost:
        return _mark_unknown(payment, merchant, lost, call, deps)
    try:
        if isinstance(reply, ActionRequired):
            return wait_for_customer(payment, reply, claim, merchant, deps).answer(call.api_url)
        return settle_charge(payment, reply, claim, merchant, deps, request_id=payment.request_id)
    except StaleWrite:
        return current_charge_answer(payment, call.api_url, payment.request_id, deps)


def _begin(
    payment: Payment,
    request: PaymentRequest,
    claim: IdempotencyRecord,
    merchant: MerchantProfile,
    deps: PaymentDependencies,
) -> _Begun:
    """First commit: the claim, the intent and the merchant's count of payments.

    Raises AlreadyClaimed, NotFound, InvalidValue, AmountTooLarge, RateLimited, Locked.
    """
    # Before the commit, so that an invalid merchant configuration leaves no intent behind.
    connector = deps.connectors.of_payment(payment)
    require_mode(payment.processor, connector, deps.timing.processors)
    method = _method(request, merchant, connector, deps)
    payment = payment.model_copy(update={"payment_method": method.name})
    connector.check_method(method.token)
    _require_allowed(request, merchant)
    now = to_datetime(payment.created_at)
    with (
        committed_once(claim),
        deps.limits.admitted(merchant, claim.owner, now) as counted,
    ):
        try:
            deps.payments.begin(payment, claim, now, counted)
        except FailedBefore:
            payment = payment.model_copy(update={"follows_failure": True})
            deps.payments.begin(payment, claim, now, counted)
    return _Begun(payment, connector, method.token)


def _mark_unknown(
    payment: Payment,
    merchant: MerchantProfile,
    lost: ProcessorUnknown,
    call: Call,
    deps: PaymentDependencies,
) -> StoredAnswer:
    """Set the payment to unknown, so that the resolver can take it now: 202."""
    log_lost_answer(payment, lost)
    now = deps.outside.now()
    cause = deps.outside.new_id("unk", now)
    unknown = unknown_payment(payment, merchant, now, cause)
    try:
        deps.payments.advance(payment, unknown, token=cause)
    except StaleWrite:
        return current_charge_answer(payment, call.api_url, payment.request_id, deps)
    return charge_answer(unknown, payment.request_id)


def wait_for_customer(
    payment: Payment,
    required: ActionRequired,
    claim: IdempotencyRecord | None,
    merchant: MerchantProfile,
    deps: PaymentDependencies,
) -> Waiting:
    """Record that the customer has to act before the charge is approved.

    What to do is kept encrypted in the open claim alone, for repetitions of the request. Raises
    StaleWrite if another process has taken the payment; KeysUnavailable, and the processor is then
    asked again.
    """
    now = deps.outside.now()
    cause = deps.outside.new_id("act", now)
    expiry = timedelta(seconds=deps.timing.action_seconds)
    waiting = waiting_payment(payment, required, merchant, now, cause, expiry)
    action = ActionSecret(
        type=required.type, url=required.url, client_secret=required.client_secret
    )
    kept = claim and claim.model_copy(update={"response_body": action.model_dump_json()})
    deps.payments.record_action(payment, waiting, kept, token=cause)
    logger.info("a charge waits for its customer", payment=payment.id, type=required.type)
    return Waiting(waiting, action)


def settle_charge(  # noqa: PLR0913 - what was answered, to whom, and who asked
    payment: Payment,
    reply: ProcessorAnswer,
    claim: IdempotencyRecord | None,
    merchant: MerchantProfile,
    deps: PaymentDependencies,
    *,
    request_id: str,
    context: ChangeContext | None = None,
) -> StoredAnswer:
    """Second commit of a charge. Raises StaleWrite if another process has taken the payment.

    `context`: as in `outcome_of`.
    """
    now = deps.outside.now()
    outcome = outcome_of(payment, reply, merchant, now, deps, context)
    answer = charge_answer(outcome.after, request_id)
    attempt = lockout_attempt(payment, reply, outcome.after.cause, deps.lockout, now)
    writes = replace(outcome.writes, attempt=attempt)
    commit_outcome(writes, (claim, answer), token=deps.outside.new_id("out", now), deps=deps)
    log_declined(payment, reply, request_id)
    return answer


def charge_request(payment: Payment) -> ChargeRequest:
    """The processor request for this payment, always with the same reference."""
    return ChargeRequest(
        reference=payment.id,
        amount_minor=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
        at=to_datetime(payment.created_at),
        capture=payment.capture_method == "automatic",
        statement_descriptor=payment.statement_descriptor,
        shop_reference=payment.reference,
    )


def _method(
    request: PaymentRequest,
    merchant: MerchantProfile,
    connector: Processor,
    deps: PaymentDependencies,
) -> _Method:
    """The method to charge: the customer's default, a stored method, or the request's own token.

    Raises NotFound for an unknown customer, or a method that the customer does not have;
    InvalidValue for a stored method without a customer, or a customer without a default method.
    """
    named, customer_id = request.payment_method, request.customer_id
    if named is not None and not _is_stored(named, connector):
        return _Method(named, named)
    if customer_id is None:
        raise InvalidValue(
            "customer_id is required with a stored payment method", param="customer_id"
        )
    customer = deps.customers.tokens(customer_id, Scope(merchant.id))
    if named is None:
        return _default_method(customer_id, customer)
    if customer is None or named not in customer.payment_tokens:
        raise NotFound(
            f"Customer {echoed(customer_id)} has no such payment method", param="payment_method"
        )
    return _Method(named, customer.payment_tokens[named])


def _default_method(customer_id: str, customer: CustomerTokens | None) -> _Method:
    if customer is None:
        raise NotFound(f"No such customer: {echoed(customer_id)}", param="customer_id")
    default = customer.default_method
    if default is None or default not in customer.payment_tokens:
        raise InvalidValue(
            f"Customer {echoed(customer_id)} has no default payment method; send payment_method, "
            "or set the customer's default_method",
            param="payment_method",
        )
    return _Method(default, customer.payment_tokens[default])


def _is_stored(payment_method: str, connector: Processor) -> bool:
    """Whether it is the id of a stored payment method, and not a token of the processor."""
    if not payment_method.startswith(_STORED_PREFIX):
        return False
    if _STORED_METHOD.fullmatch(payment_method):
        return True
    try:
        connector.check_method(payment_method)
    except InvalidValue:
        return True
    return False


def _require_allowed(request: PaymentRequest, merchant: MerchantProfile) -> None:
    if merchant.status is not MerchantStatus.ACTIVE:
        raise InactiveMerchant(f"Merchant {merchant.id} is {merchant.status}")
    largest = merchant.rate_limits.max_payment_amount
    if largest is not None and request.amount > largest:
        raise AmountTooLarge(
            f"amount must be at most {largest}, the merchant's limit; got {request.amount}",
            param="amount",
        )


def _reference_bucket(
    request: PaymentRequest, payment_id: str, merchant: MerchantProfile
) -> str | None:
    if request.reference is None:
        return None
    return reference_bucket(merchant.id, request.reference, payment_id, merchant.index_buckets)


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
        customer_id=request.customer_id,
        reference_bucket=_reference_bucket(request, payment_id, merchant),
        idempotency_scope=claim.key,
        open_bucket=payment_open_bucket(merchant.id, payment_id, merchant.index_buckets),
        next_action_at=lease_end,
        status=status,
        amount=request.amount,
        currency=request.currency,
        capture_method=request.capture_method,
        payment_method=request.payment_method or _DEFAULT_METHOD,
        processor=merchant.processor,
        processor_account=merchant.processor_account,
        reference=request.reference,
        description=request.description,
        statement_descriptor=request.statement_descriptor,
        metadata=request.metadata,
        lease_owner=claim.owner,
        lease_expires_at=lease_end,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=claim.owner).stamp(),
    )
