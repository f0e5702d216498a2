"""Every route of the API, each described beside what goes in and out of it.

The gateway's routes, the dispatch of both HTTP functions, permissions, validation and the OpenAPI
document are all read from `ENDPOINTS`.
"""

from __future__ import annotations

from typing import Final

from runtime.contract import (
    accounts,
    alerts,
    api_keys,
    audit,
    customers,
    exports,
    idempotency_keys,
    merchants,
    payments,
    processor_events,
    proof,
    settlement_files,
    settlement_lines,
    settlements,
    system,
    transactions,
    transfers,
    webhooks,
)
from runtime.contract.endpoint import Endpoint

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *merchants.ENDPOINTS,
    *api_keys.ENDPOINTS,
    *customers.ENDPOINTS,
    *accounts.ENDPOINTS,
    *transfers.ENDPOINTS,
    *payments.ENDPOINTS,
    *transactions.ENDPOINTS,
    *idempotency_keys.ENDPOINTS,
    *processor_events.ENDPOINTS,
    *settlement_files.ENDPOINTS,
    *settlements.ENDPOINTS,
    *settlement_lines.ENDPOINTS,
    *exports.ENDPOINTS,
    *alerts.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *audit.ENDPOINTS,
    *proof.ENDPOINTS,
    *system.ENDPOINTS,
)
