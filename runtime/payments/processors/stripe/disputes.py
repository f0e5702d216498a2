"""Map Stripe's disputes and refunds to our states; docs/processors.md describes the mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from runtime.core.currency import DECIMALS
from runtime.payments.models import DisputeStatus
from runtime.payments.processors.events import DisputeState, RefundOutcome, RefundState
from runtime.payments.processors.stripe.amounts import from_stripe
from runtime.payments.processors.stripe.client import REFERENCE
from runtime.payments.processors.stripe.shapes import (
    BalanceTransaction,
    Dispute,
    PaymentIntent,
    Refund,
)

_STATUS: Final[Mapping[str, DisputeStatus]] = {
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Every other status at Stripe is an undecided dispute."""
_OUTCOMES: Final[Mapping[str, RefundOutcome]] = {
    "succeeded": RefundOutcome.SUCCEEDED,
    "failed": RefundOutcome.FAILED,
    "canceled": RefundOutcome.FAILED,
}


def dispute_state(dispute: Dispute) -> DisputeState:
    """The dispute, with the totals withdrawn, reinstated and charged by its balance transactions.

    They are in the currency of the merchant's balance. If that is the dispute's currency, their
    amounts are booked. Otherwise they cannot be compared with the payment: the disputed amount then
    counts as withdrawn, or reinstated, as soon as anything was, and the fee as unknown (0). The
    settlement file shows the difference.
    """
    currency = dispute.currency.upper()
    amount = _ours(dispute.amount, currency)
    moved = dispute.balance_transactions
    comparable = all(each.currency.upper() == currency for each in moved)
    taken = sum(-each.amount for each in moved if each.amount < 0)
    returned = sum(each.amount for each in moved if each.amount > 0)
    intent = dispute.payment_intent
    charge_id = intent.id if isinstance(intent, PaymentIntent) else intent
    reference = intent.metadata.get(REFERENCE) if isinstance(intent, PaymentIntent) else None
    return DisputeState(
        id=dispute.id,
        status=_STATUS.get(dispute.status, DisputeStatus.OPENED),
        created_at=datetime.fromtimestamp(dispute.created, UTC),
        currency=currency,
        amount_minor=amount,
        withdrawn_minor=_ours(taken, currency) if comparable else amount * bool(taken),
        reinstated_minor=_ours(returned, currency) if comparable else amount * bool(returned),
        fee_minor=_fee_minor(moved, currency) if comparable else 0,
        charge_id=charge_id,
        reference=reference,
    )


def refund_state(refund: Refund) -> RefundState:
    """The refund; it is pending if it has neither succeeded nor failed."""
    currency = refund.currency.upper()
    return RefundState(
        id=refund.id,
        outcome=_OUTCOMES.get(refund.status, RefundOutcome.PENDING),
        created_at=datetime.fromtimestamp(refund.created, UTC),
        amount_minor=_ours(refund.amount, currency),
        currency=currency,
        reference=(refund.metadata or {}).get(REFERENCE),
    )


def _fee_minor(moved: Iterable[BalanceTransaction], currency: str) -> int:
    """The fee that Stripe keeps; a returned fee has its own, negative, transaction."""
    return max(0, _ours(sum(each.fee for each in moved), currency))


def _ours(amount: int, currency: str) -> int:
    """The amount in minor units; for an unknown currency, in Stripe's own unit."""
    return from_stripe(amount, currency) if currency in DECIMALS else amount
