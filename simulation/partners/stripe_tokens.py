"""Payment methods of the simulated Stripe: each stands for what happens to its charges and refunds.

Most are test methods of Stripe's own (docs.stripe.com/testing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DECLINED: Final[Mapping[str, tuple[str, str | None]]] = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", None),
}
"""Test methods that are declined, with `code` and `decline_code` (docs.stripe.com/testing)."""
PENDING_REFUND: Final = "pm_card_pendingRefund"
"""Refunds of it are pending at first."""
REFUND_FAILS: Final = "pm_card_refundFail"
"""Refunds of it succeed, and fail later."""
REFUND_FAILS_AT_ONCE: Final = "pm_card_refundFailsAtOnce"
"""Refunds of it fail before the request for them is answered as done. Stripe has no such token."""
NEVER_HEARD: Final = "pm_card_answerNeverHeard"
"""A charge of it is done and never answered, and the search shows it late. Not one of Stripe's."""
AUTHENTICATES: Final = "pm_card_authenticationRequired"
"""A charge of it waits for its customer."""
APPROVED: Final = ("pm_card_visa", "pm_card_mastercard", PENDING_REFUND, REFUND_FAILS)
"""Ordinary methods that are charged."""
CHARGEABLE: Final = (*APPROVED, AUTHENTICATES, REFUND_FAILS_AT_ONCE, NEVER_HEARD)
