"""Every route of the API, each described beside what goes in and out of it.

The gateway's routes, the dispatch of both HTTP functions, permissions, validation and the OpenAPI
document are all read from `ENDPOINTS`.
"""

from __future__ import annotations

from typing import Final

from runtime.access import api as api_keys
from runtime.alerts import api as alerts
from runtime.audit import api as audit
from runtime.customers import api as customers
from runtime.http import problem
from runtime.http.endpoint import Endpoint
from runtime.idempotency import api as idempotency_keys
from runtime.ledger.accounts import api as accounts
from runtime.ledger.transfers import api as transfers
from runtime.merchants import api as merchants
from runtime.operations import api as operations
from runtime.payments import api as payments
from runtime.payments.disputes import api as processor_events
from runtime.payments.processors.sandbox import api as sandbox
from runtime.reconciliation.exceptions import api as settlement_lines
from runtime.reconciliation.files import api as settlement_files
from runtime.reconciliation.settlements import api as settlements
from runtime.reconciliation.transactions import api as transactions
from runtime.reporting.exports import api as exports
from runtime.timeline import api as timeline
from runtime.verification import api as proof
from runtime.webhooks import api as webhooks
from runtime.webhooks.endpoints import api as webhook_endpoints

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *merchants.ENDPOINTS,
    *api_keys.ENDPOINTS,
    *customers.ENDPOINTS,
    *accounts.ENDPOINTS,
    *transfers.ENDPOINTS,
    *payments.ENDPOINTS,
    *timeline.ENDPOINTS,
    *transactions.ENDPOINTS,
    *idempotency_keys.ENDPOINTS,
    *processor_events.ENDPOINTS,
    *sandbox.ENDPOINTS,
    *settlement_files.ENDPOINTS,
    *settlements.ENDPOINTS,
    *settlement_lines.ENDPOINTS,
    *exports.ENDPOINTS,
    *alerts.ENDPOINTS,
    *webhooks.ENDPOINTS,
    *webhook_endpoints.ENDPOINTS,
    *audit.ENDPOINTS,
    *proof.ENDPOINTS,
    *operations.ENDPOINTS,
    *problem.ENDPOINTS,
)
