"""Whose rows a list has for an operator who sends no `merchant_id`.

For the page of routes, the document, and clients that send `merchant_id` where they must. An
end-to-end test compares it with what the routes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

ACTING_FOR: Final = "merchant_id"
FOR_OPERATORS: Final = "A merchant who sends it gets 403."


class WithoutMerchant(StrEnum):
    """What a list does for an operator without `merchant_id`; the value is its description."""

    REQUIRED = "Operators must send it; without it the answer is 422."
    EVERYONES = "Without it an operator sees those of all merchants."
    PLATFORMS = "Without it an operator sees those of the platform itself, not of merchants."


_REQUIRED, _EVERYONES, _PLATFORMS = WithoutMerchant

LISTS: Final[Mapping[str, tuple[WithoutMerchant, str]]] = {
    "listMerchants": (_EVERYONES, ""),
    "listApiKeys": (_REQUIRED, ""),
    "findCustomers": (_REQUIRED, ""),
    "listAccounts": (
        _PLATFORMS,
        "By `account_number` they are those of all owners, by `customer_id` the customer's.",
    ),
    "listTransfers": (
        _PLATFORMS,
        "By `account_id` or `customer_id` they are those of the account or customer.",
    ),
    "listPayments": (_REQUIRED, ""),
    "summarizePayments": (_REQUIRED, ""),
    "listTransactions": (_EVERYONES, "By `status` operators must send it."),
    "listIdempotencyKeys": (_PLATFORMS, ""),
    "listProcessorEvents": (_EVERYONES, ""),
    "listSettlementFiles": (_PLATFORMS, ""),
    "listSettlements": (_REQUIRED, ""),
    "listExceptions": (_REQUIRED, ""),
    "listExports": (_PLATFORMS, ""),
    "listAlerts": (_EVERYONES, ""),
    "listWebhooks": (_REQUIRED, ""),
    "listWebhookEndpoints": (_REQUIRED, ""),
    "listAudit": (_EVERYONES, ""),
}
"""By operation: the rule, and its exceptions. Reads by id need no `merchant_id`."""


def acting_for_note(operation: str) -> str | None:
    """What the parameter `merchant_id` of a list means; None: as everywhere."""
    if operation not in LISTS:
        return None
    rule, exceptions = LISTS[operation]
    said = "For operators: the merchant to act for.", rule.value, exceptions, FOR_OPERATORS
    return " ".join(filter(None, said))
