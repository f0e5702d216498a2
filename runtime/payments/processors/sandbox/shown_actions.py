"""Finds the sandbox charge that waits at an address, and shows its page.

The query function serves the page and cannot change anything. What the customer decides is a POST
(resolution/sandbox_pages.py).
"""

from __future__ import annotations

from typing import Protocol

from runtime.core.errors import NotFound
from runtime.http.responses import HttpResponse
from runtime.payments.processors.sandbox.actions import opens, reference_in
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.page import action_page


class ChargeReader(Protocol):
    """Reads the sandbox's charges."""

    def recall(self, reference: str) -> SandboxCharge | None:
        """The row stored for a reference, strongly consistent."""
        ...


def charge_at(action_id: str, charges: ChargeReader) -> SandboxCharge:
    """The charge whose page has the address that ends in `action_id`.

    Raises NotFound for any other text, which is not repeated: it may be a part of an address.
    """
    reference = reference_in(action_id)
    charge = None if reference is None else charges.recall(reference)
    if charge is None or not opens(action_id, charge):
        raise NotFound("The address is wrong, or the payment was completed long ago")
    return charge


def show_action(action_id: str, charges: ChargeReader) -> HttpResponse:
    """The page with its two buttons, or what became of the charge. Raises NotFound."""
    return action_page(charge_at(action_id, charges))
