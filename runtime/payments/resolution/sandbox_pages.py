"""The sandbox's page, on which a customer approves a payment that waits, or fails to authenticate.

The page decides at the sandbox, as a bank's page would at a real processor. Afterwards the sandbox
is asked, as after a notification, so that the payment is decided when the customer is back in the
shop. If that does not work, the resolver asks later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtime.core.errors import InvalidState, NotFound, PlatformError
from runtime.core.observability import logger
from runtime.http.responses import HttpResponse
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.processors.sandbox.actions import Decision, decided
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.page import back_to_shop, outcome_page
from runtime.payments.processors.sandbox.repository import WAITING, SandboxChargeRepository
from runtime.payments.processors.sandbox.shown_actions import charge_at
from runtime.payments.resolution.charge import resolve_payment

_ID_PREFIX: Final = "sba"


@dataclass(frozen=True)
class SandboxPages:
    """Dependencies of the sandbox's page."""

    payments: PaymentDependencies
    charges: SandboxChargeRepository


def decide_action(
    action_id: str, decision: Decision, request_id: str, pages: SandboxPages
) -> HttpResponse:
    """Decide once, and lead the customer back to the shop. Raises NotFound, also in live mode.

    The same decision again has the same answer. Raises InvalidState for another one, and for any
    once the charge was canceled.
    """
    if pages.payments.timing.processors != "test":
        raise NotFound("The sandbox is not available for live payments")
    charge = charge_at(action_id, pages.charges)
    wanted = decided(charge, decision)
    if charge.state == WAITING:
        outside = pages.payments.outside
        token = outside.new_id(_ID_PREFIX, outside.now())
        charge = pages.charges.decide(wanted, token=token)
        _book(charge, request_id, pages)
    if charge.state != wanted.state:
        raise InvalidState(f"{charge.reference} was decided already: it is {charge.state}")
    if charge.return_url is not None:
        return back_to_shop(charge.return_url, charge.reference)
    return outcome_page(charge)


def _book(charge: SandboxCharge, request_id: str, pages: SandboxPages) -> None:
    """Ask the sandbox now, and book what it says."""
    try:
        resolve_payment(charge.reference, pages.payments, request_id)
    except PlatformError as error:
        logger.warning(
            "the customer's decision is left to the resolver",
            payment=charge.reference,
            reason=error.code,
        )
