"""Stripe behind our port: one PaymentIntent per charge, under idempotency keys that are our ids.

Stripe keeps an idempotency key for at least 24 hours. Within them a reference is charged at most
once, whatever is sent; later nothing is sent again that `find` or `find_operation` would show.
docs/processors.md says what else Stripe does in its own way.
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
    UNCONFIRMED,
    charge_answer,
    failure_of,
    fee_minor,
    is_certain,
    refund_answer,
    refusal,
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
from runtime.payments.rules import Approved, ProcessorAnswer, Refused
from runtime.payments.transaction_models import TransactionType

Found = TypeVar("Found")

__all__ = ["StripeConfig", "StripeProcessor", "stripe_config"]


@dataclass(frozen=True)
class StripeProcessor:
    """A Processor (port.py), with one merchant's key."""

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
        """The merchant's connector. `network`: what sends its requests, if not `http_client`."""
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
        """Stripe captures an authorization once, and gives the rest back."""
        return False

    def check_method(self, payment_method: str) -> None:
        """Raises InvalidValue for what names no payment method of Stripe's."""
        if METHOD.fullmatch(payment_method) is None:
            raise InvalidValue(
                "payment_method must be one of Stripe's (pm_…), preceded by its Stripe customer "
                "if it is attached to one (cus_…/pm_…)",
                param="payment_method",
            )

    def charge(self, request: ChargeRequest) -> ProcessorAnswer:
        """Charge or authorize; sent again within 24 hours, Stripe answers as before."""
        try:
            intent = self.api.charge(request)
        except NotInStripesUnits as error:
            return Refused(None, "processor_rejected", str(error))
        except stripe.StripeError as error:
            return refusal(error, "processor_rejected")
        return self._answer(intent)

    def find(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """What became of a reference, as far as Stripe's search shows it.

        A charge shows there after up to a minute, in an outage after an hour: that it is absent is
        never final.
        """
        try:
            intent_id = self.api.search(request.reference)
            # The search may show an old state.
            intent = None if intent_id is None else self.api.read(intent_id)
        except stripe.StripeError as error:
            raise unknown(error) from None
        if intent is None:
            return None
        _require_ours(intent, request)
        return self._answer(intent)

    def forbid(self, request: ChargeRequest) -> ProcessorAnswer | None:
        """Use up the reference's idempotency key, so that Stripe refuses a charge that comes later.

        Where the charge had come first, Stripe says that the key was used for something else, and
        the search has to show what for; until it does, ProcessorUnknown.
        """
        try:
            empty = self.api.use_up(request)
        except NotInStripesUnits:
            return None
        except stripe.IdempotencyError:
            return self._found(request)
        except stripe.StripeError as error:
            raise unknown(error) from None
        self._require_canceled(empty)
        return None

    def operate(self, request: OperationRequest) -> ProcessorAnswer:
        """Capture, refund or void; sent again within 24 hours, Stripe answers as before.

        Later it would be done again, if it can be: ask `find_operation` first.
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
            # Not possible any more, perhaps because it was done: then that is the answer.
            return self.find_operation(request) or refused
        except stripe.StripeError as error:
            return refusal(error, rejected)

    def find_operation(self, request: OperationRequest) -> ProcessorAnswer | None:
        """What became of a capture, refund or void. Unlike the search, this is the latest state."""
        try:
            if request.kind is TransactionType.REFUND:
                return self._find_refund(request)
            return _closing_answer(request, self.api.read(request.charge_id))
        except stripe.StripeError as error:
            raise unknown(error) from None

    def find_dispute(self, dispute_id: str) -> DisputeState | None:
        """The current state of a dispute."""
        found = _there(lambda: self.api.dispute(dispute_id))
        return None if found is None else dispute_state(found)

    def find_refund(self, reference: str, refund_id: str | None) -> RefundState | None:
        """The current state of a refund; it can only be read by Stripe's own id."""
        if refund_id is None:
            return None
        found = _there(lambda: self.api.refund_by_id(refund_id))
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

    def _answer(self, intent: PaymentIntent) -> ProcessorAnswer:
        """The answer to a charge. What waits for somebody is canceled: nobody will come."""
        waits_for_customer = intent.status == "requires_action"
        never_tried = intent.status in UNCONFIRMED and intent.last_payment_error is None
        if not waits_for_customer and not never_tried:
            return charge_answer(intent)
        self._require_canceled(intent)
        if waits_for_customer:
            text = "The card's bank asks for authentication, which is not offered here"
            return Refused(intent.id, "authentication_required", text)
        return Refused(intent.id, CANCELED, "The charge was begun at Stripe and not carried out")

    def _found(self, request: ChargeRequest) -> ProcessorAnswer:
        answer = self.find(request)
        if answer is None:
            raise ProcessorUnknown("Stripe: it knows the reference, and does not show its charge")
        return answer

    def _require_canceled(self, intent: PaymentIntent) -> None:
        """Raises ProcessorUnknown unless nothing can be charged by `intent` any more."""
        try:
            after = self._canceled(intent.id)
        except stripe.StripeError as error:
            raise unknown(error) from None
        if after.status != CANCELED:
            raise ProcessorUnknown(f"Stripe: {after.id} is {after.status} and was to be canceled")

    def _canceled(self, intent_id: str) -> PaymentIntent:
        try:
            return self.api.cancel(intent_id, key=f"{intent_id}-cancel")
        except stripe.InvalidRequestError:
            # Perhaps it is canceled already.
            return self.api.read(intent_id)

    def _send(self, request: OperationRequest) -> ProcessorAnswer:
        if request.kind is TransactionType.REFUND:
            return refund_answer(self.api.refund(request))
        if request.kind is TransactionType.CAPTURE:
            intent = self.api.capture(request)
        else:
            assert request.kind is TransactionType.VOID, f"{request.kind} is no operation"
            intent = self.api.cancel(request.charge_id, key=request.reference)
        answer = _closing_answer(request, intent)
        if answer is None:
            raise ProcessorUnknown(f"Stripe: {intent.id} is {intent.status}")
        return answer

    def _find_refund(self, request: OperationRequest) -> ProcessorAnswer | None:
        for refund in self.api.refunds(request.charge_id):
            if (refund.metadata or {}).get(REFERENCE) == request.reference:
                return refund_answer(refund)
        return None


def _require_ours(intent: PaymentIntent, request: ChargeRequest) -> None:
    """Raises ProcessorUnknown for an object with our reference that is not what we requested.

    Metadata can be edited in Stripe's dashboard; amount and currency cannot once it is confirmed.
    """
    asked = to_stripe(request.amount_minor, request.currency), request.currency
    if (intent.amount, intent.currency.upper()) != asked:
        raise ProcessorUnknown(
            f"Stripe: {intent.id} carries our reference, and another amount than ours"
        )


def _there(read: Callable[[], Found]) -> Found | None:
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
    """Whether `intent` stands as a capture or a void leaves it; None: it does not."""
    if request.kind is TransactionType.VOID:
        return Approved(intent.id, fee_minor=0) if intent.status == CANCELED else None
    if intent.status != "succeeded":
        return None
    if intent.amount_received not in (None, to_stripe(request.amount_minor, request.currency)):
        text = "Another amount was captured at Stripe, not by this platform"
        return Refused(intent.id, "capture_rejected", text)
    return Approved(intent.id, fee_minor(intent))
