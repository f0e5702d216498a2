"""Sandbox charges that wait for their customer: the address of the page, and decisions. Pure.

The address ends in the payment's id and 128 random bits, and works until the charge is decided.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, Literal

from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import (
    AUTHORIZED,
    CAPTURED,
    DECLINED,
)
from runtime.payments.rules import ActionRequired

Decision = Literal["approve", "fail"]

SECRET_BYTES: Final = 16
"""128 bits, as many as an unguessable address needs."""
ACTIONS_PATH: Final = "/v1/sandbox/actions"
REDIRECT: Final = "redirect_to_url"
AUTHENTICATION_FAILED: Final = "authentication_failed"
_ACTION_ID: Final = re.compile(r"(pay_[0-9A-HJKMNP-TV-Z]{26})_([0-9a-f]{32})")


def required_action(charge: SandboxCharge) -> ActionRequired:
    """What the customer has to do: visit the page of a waiting charge."""
    assert charge.action_secret is not None, f"{charge.reference} does not wait"
    return ActionRequired(
        charge.processor_id,
        REDIRECT,
        url=f"{ACTIONS_PATH}/{charge.reference}_{charge.action_secret}",
        client_secret=_client_secret(charge.processor_id, charge.action_secret),
    )


def reference_in(action_id: str) -> str | None:
    """The payment that the end of a page's address names; None if it has another form."""
    found = _ACTION_ID.fullmatch(action_id)
    return None if found is None else found[1]


def opens(action_id: str, charge: SandboxCharge) -> bool:
    """Whether the address is that of this charge's page."""
    found = _ACTION_ID.fullmatch(action_id)
    if found is None or charge.action_secret is None:
        return False
    return hmac.compare_digest(found[2], charge.action_secret)


def decided(charge: SandboxCharge, decision: Decision) -> SandboxCharge:
    """A waiting charge after its customer approved it, or failed to authenticate."""
    if decision == "fail":
        changes: dict[str, object] = {
            "state": DECLINED,
            "response_code": AUTHENTICATION_FAILED,
            "response_text": "The customer failed to authenticate",
        }
        return charge.model_copy(update={**changes, "capturable": 0, "refundable": 0})
    amount = charge.amount
    return charge.model_copy(
        update={
            "state": CAPTURED if charge.captures else AUTHORIZED,
            "response_code": "approved",
            "response_text": "Approved",
            "capturable": 0 if charge.captures else amount,
            "refundable": amount if charge.captures else 0,
        }
    )


def _client_secret(processor_id: str, action_secret: str) -> str:
    """Derived, so that it need not be stored; the page's address cannot be derived from it."""
    mixed = hashlib.sha256(f"client_secret {action_secret}".encode()).hexdigest()
    return f"{processor_id}_secret_{mixed[:32]}"
