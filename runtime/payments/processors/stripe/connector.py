"""The Stripe connector: one PaymentIntent per charge, with our ids as idempotency keys.

Stripe keeps an idempotency key for at least 24 hours, in which a reference is charged at most once.
Later, a request is only sent again if `find` or `find_operation` does not show it.
docs/processors.md describes how Stripe differs from other processors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import stripe

from runtime.core.errors import InvalidValue, MalformedJson, ProcessorUnknown
from runtime.core.fields import ProcessorMode
from runtime.payments.processors.events import DisputeState, ProcessorEvent, RefundState
from runtime.payments.processors.port import ChargeRequest, OperationRequest, ProcessorIdentity
from runtime.payments.processors.stripe.amounts import NotInStripesUnits, to_stripe
from runtime.payments.processors.stripe.answers import (
    CANCELED,
    REQUIRES_ACTION,
    UNCONFIRMED,
    charge_answer,
    declined,
    failure_of,
    fee_minor,
    is_certain,
    refund_answer,
    refusal,
    required_action,
    unknown,
)
from runtime.payments.processors.stripe.client import (
    METHOD,
    REFERENCE,
    StripeApi,
    StripeConfig,
    http_client,
    stripe_config,
)
from runtime.payments.processors.stripe.disputes import dispute_state, refund_state
from runtime.payments.processors.stripe.events import POLLED_TYPES, hint_of, read_stripe_event
from runtime.payments.processors.stripe.shapes import PaymentIntent
from runtime.payments.rules import Approved, ChargeReply, ProcessorAnswer, Refused
from runtime.payments.transaction_models import TransactionType

Found = TypeVar("Found")

__all__ = ["StripeConfig", "StripeProcessor", "stripe_config"]


@dataclass(frozen=True)
class StripeProcessor:
    """A Processor (port.py) with one merchant's key."""

    api: StripeApi
    webhook_secret: str | None = field(repr=False)
    mode: ProcessorMode

    @classmethod
    def of(
        cls,
        config: StripeConfig,
        api_base: str,
        timeout_seconds: float,
        network: stripe.HTTPClient | None = None,
    ) -> StripeProcessor:
        """The merchant's connector. `network`: the HTTP client to use instead of `http_client`."""
        client = stripe.StripeClient(
            config.api_key,
            base_addresses={"api": api_base},
            http_client=network or http_client(timeout_seconds),
            max_network_retries=0,
        )
        return cls(StripeApi(client), config.webhook_secret, config.mode)

    def identify(self) -> ProcessorIdentity:
        """The owner of the key. The mode in its prefix and the mode at Stripe must agree."""
        try:
            identity = ProcessorIdentity(self.api.account_id(), self.api.mode())
        except stripe.StripeError as error:
            if not is_certain(error):
                raise unknown(error) from None
            raise InvalidValue(
                f"Stripe rejected api_key (HTTP {error.http_status}); it must be valid and allowed "
                "to read the account and its balance",
                param="processor_config",
            ) from None
        if identity.mode != self.mode:
            raise InvalidValue(
                f"api_key begins like a {self.mode} key, but Stripe reports a {identity.mode} key",
                param="processor_config",
            )
        return identity

    @property
    def captures_in_parts(self) -> bool:
        """Stripe captures an authorization once, and releases the rest."""
        return False

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue unless the text has the form of a Stripe payment method."""
        if METHOD.fullmatch(payment_method) is None:
            raise InvalidValue(
                "payment_method must be one of Stripe's (pm_…), preceded by its Stripe customer "
                "if it is attached to one (cus_…/pm_…)",
                param="payment_method",
            )

    def charge(self, request: ChargeRequest) -> ChargeReply:
        """Charge or authorize. Repeated within 24 hours, the answer is the same."""
        try:
            intent = self.api.charge(request)
        except NotInStripesUnits as error:
            return Refused(None, "processor_rejected", str(error))
        except stripe.StripeError as error:
            return refusal(error, "processor_rejected")
        return self._reply(intent)

    def find(self, request: ChargeRequest) -> ChargeReply | None:
        """The reply to a charge, if Stripe's search already shows it.

        The search lags by up to a minute, in an outage by an hour. So a missing result is never
        final.
        """
        try:
            intent_id = self.api.search(request.reference)
            # The search result may be out of date.
            intent = None if intent_id is None else self.api.read(intent_id)
        except stripe.StripeError as error:
            raise unknown(error) from None
        if intent is None:
            return None
        _require_ours(intent, request)
        return self._reply(intent)

    def find_waiting(self, request: ChargeRequest, charge_id: str) -> ChargeReply:
        """What has become of a PaymentIntent whose `client_secret` the customer has.

        With it another payment method could be tried after a failure. So the intent is canceled
        before it is reported as refused.
        """
        try:
            intent = self.api.read(charge_id)
            _require_ours(intent, request)
            if intent.status == CANCELED:
                return _refused_for_good(intent)
            if intent.status in UNCONFIRMED and intent.status != REQUIRES_ACTION:
                after = self._canceled(intent.id)
                if after.status == CANCELED:
                    return _refused_for_good(intent)
                intent = after
        except stripe.StripeError as error:
            raise unknown(error) from None
        return required_action(intent) if _waits(intent) else charge_answer(intent)

    def forbid(self, request: ChargeRequest) -> ChargeReply | None:
        """Use the reference's idempotency key, so that Stripe rejects a charge that arrives later.

        If the charge arrived first, Stripe reports that the key was used with other parameters.
        Raises ProcessorUnknown until the search shows that charge.
        """
        try:
            empty = self.api.consume_key(request)
        except NotInStripesUnits:
            return None
        except stripe.IdempotencyError:
            return self._found(request)
        except stripe.StripeError as error:
            raise unknown(error) from None
        self._require_canceled(empty)
        return None

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """Capture, refund or void. Repeated within 24 hours, the answer is the same.

        After that it could be done again, so call `find_operation` first.
        """
        rejected = f"{request.kind}_rejected"
        try:
            return self._send(request)
        except NotInStripesUnits as error:
            return Refused(None, rejected, str(error))
        except stripe.InvalidRequestError as error:
            refused = refusal(error, rejected)
            if failure_of(error).code == "resource_missing":
                return refused
            # It may be impossible because it has already been done.
            return self.find_operation(request) or refused
        except stripe.StripeError as error:
            return refusal(error, rejected)

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:
        """The outcome of a capture, refund or void. Unlike the search, it is never out of date."""
        try:
            if request.kind is TransactionType.REFUND:
                return self._find_refund(request)
            return _closing_answer(request, self.api.read(request.charge_id))
        except stripe.StripeError as error:
            raise unknown(error) from None

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        """The current state of a dispute."""
        found = _if_exists(lambda: self.api.dispute(dispute_id))
        return None if found is None else dispute_state(found)

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        """The current state of a refund; it can only be read by Stripe's own id."""
        if refund_id is None:
            return None
        found = _if_exists(lambda: self.api.refund_by_id(refund_id))
        return None if found is None else refund_state(found)

    def recent_events(self, since: datetime) -> Iterator[ProcessorEvent]:
        """Stripe's own events about disputes and refunds since then.

        An unreadable event does not block the others: it is reported at the end.
        """
        unreadable: MalformedJson | None = None
        try:
            for event in self.api.events(POLLED_TYPES, int(since.timestamp())):
                try:
                    hint = hint_of(event)
                except MalformedJson as odd:
                    unreadable = odd
                else:
                    yield hint
        except stripe.StripeError as error:
            raise unknown(error) from None
        if unreadable is not None:
            raise ProcessorUnknown(f"Stripe: {unreadable.detail}")

    def read_event(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProcessorEvent:
        """A notification signed with the merchant's `webhook_secret`."""
        return read_stripe_event(headers, body, self.webhook_secret, now)

    def _reply(self, intent: PaymentIntent) -> ChargeReply:
        """The reply to a charge. An intent that was never tried is canceled."""
        if _waits(intent):
            return required_action(intent)
        if intent.status in UNCONFIRMED and intent.last_payment_error is None:
            self._require_canceled(intent)
            return _refused_for_good(intent)
        return charge_answer(intent)

    def _found(self, request: ChargeRequest) -> ChargeReply:
        answer = self.find(request)
        if answer is None:
            raise ProcessorUnknown(
                "Stripe: the reference was used, but its charge is not found yet"
            )
        return answer

    def _require_canceled(self, intent: PaymentIntent) -> None:
        """Cancel `intent`. Raises ProcessorUnknown if it could still be charged."""
        try:
            after = self._canceled(intent.id)
        except stripe.StripeError as error:
            raise unknown(error) from None
        if after.status != CANCELED:
            raise ProcessorUnknown(f"Stripe: {after.id} is {after.status} after it was canceled")

    def _canceled(self, intent_id: str) -> PaymentIntent:
        try:
            return self.api.cancel(intent_id, key=f"{intent_id}-cancel")
        except stripe.InvalidRequestError:
            # It may already be canceled.
            return self.api.read(intent_id)

    def _send(self, request: OperationRequest) -> ProcessorAnswer:
        if request.kind is TransactionType.REFUND:
            return refund_answer(self.api.refund(request))
        if request.kind is TransactionType.CAPTURE:
            intent = self.api.capture(request)
        else:
            assert request.kind is TransactionType.VOID, f"unexpected operation {request.kind}"
            intent = self.api.cancel(
                request.charge_id, key=request.reference, abandoned=request.abandoned
            )
        answer = _closing_answer(request, intent)
        if answer is None:
            raise ProcessorUnknown(f"Stripe: {intent.id} is {intent.status}")
        return answer

    def _find_refund(self, request: OperationRequest) -> ProcessorAnswer | None:
        for refund in self.api.refunds(request.charge_id):
            if (refund.metadata or {}).get(REFERENCE) == request.reference:
                return refund_answer(refund)
        return None


def _waits(intent: PaymentIntent) -> bool:
    """Whether the customer has to act before the charge is approved."""
    return intent.status == REQUIRES_ACTION


def _refused_for_good(intent: PaymentIntent) -> Refused:
    """The refusal for an intent that is canceled now. `intent`: its state before that."""
    if intent.last_payment_error is not None:
        return declined(intent.last_payment_error, intent.id)
    return Refused(intent.id, CANCELED, "The charge was created at Stripe but not confirmed")


def _require_ours(intent: PaymentIntent, request: ChargeRequest) -> None:
    """Raises ProcessorUnknown for an object with our reference that is not what we requested.

    Metadata can be edited in Stripe's dashboard; amount and currency cannot once it is confirmed.
    """
    asked = to_stripe(request.amount_minor, request.currency), request.currency
    if (intent.amount, intent.currency.upper()) != asked:
        raise ProcessorUnknown(
            f"Stripe: {intent.id} has our reference but not our amount and currency"
        )


def _if_exists(read: Callable[[], Found]) -> Found | None:
    """The result of `read`; None if Stripe has no such object. Raises ProcessorUnknown."""
    try:
        return read()
    except stripe.InvalidRequestError as error:
        if failure_of(error).code == "resource_missing":
            return None
        raise unknown(error) from None
    except stripe.StripeError as error:
        raise unknown(error) from None


def _closing_answer(request: OperationRequest, intent: PaymentIntent) -> ProcessorAnswer | None:
    """The outcome of a capture or void, from the intent's state; None if it was not done."""
    if request.kind is TransactionType.VOID:
        return Approved(intent.id, fee_minor=0) if intent.status == CANCELED else None
    if intent.status != "succeeded":
        return None
    if intent.amount_received not in (None, to_stripe(request.amount_minor, request.currency)):
        text = "A different amount was captured directly at Stripe"
        return Refused(intent.id, "capture_rejected", text)
    return Approved(intent.id, fee_minor(intent))
