"""Dependencies of every POST, PATCH and DELETE."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from runtime.access.api_keys import ApiKeyDependencies
from runtime.access.repository import ApiKeyRepository
from runtime.core.outside import Outside
from runtime.core.signed_links import SignedLinks
from runtime.customers.customers import CustomerDependencies
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.functions.composition.payment_services import (
    PaymentPartners,
    connectors_of,
    payment_dependencies_of,
    processor_event_dependencies_of,
)
from runtime.functions.composition.services import FunctionServices
from runtime.http.event import API_ADDRESS
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.accounts import AccountDependencies
from runtime.ledger.accounts.repository import AccountRepository
from runtime.ledger.hot_accounts.known_accounts import KnownHotAccounts
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.repository import LedgerRepository
from runtime.ledger.transfers.repository import TransferRepository
from runtime.ledger.transfers.transfers import TransferDependencies
from runtime.merchants.merchants import MerchantDependencies
from runtime.merchants.repository import MerchantRepository
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.processing_list import ProcessingList
from runtime.payments.processors.configuration import ProcessorConfiguration
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.resolution.open_queue import OpenQueue
from runtime.reconciliation.files.repository import SettlementFileRepository
from runtime.reconciliation.files.routes import SettlementFileDependencies
from runtime.reconciliation.settlements.lines_repository import SettlementLineRepository
from runtime.reporting.exports.repository import ExportRepository
from runtime.settings import ProcessSettings
from runtime.webhooks.deliveries import WebhookDependencies
from runtime.webhooks.delivery_queue import DeliveryQueue
from runtime.webhooks.endpoints.dependencies import EndpointDependencies
from runtime.webhooks.endpoints.repository import EndpointRepository
from runtime.webhooks.endpoints.stored import StoredEndpoints
from runtime.webhooks.repository import WebhookRepository

if TYPE_CHECKING:
    from runtime.payments.resolution.sandbox_pages import SandboxPages
    from runtime.reconciliation.exceptions.resolutions import ResolutionDependencies
    from runtime.reporting.exports.requests import ExportRequests

BULK_MARGIN_SECONDS: Final = 5
"""Time that a bulk request reserves for its response."""


class ProcessServices(FunctionServices):
    """Dependencies of functions/process.py."""

    def __init__(
        self,
        settings: ProcessSettings,
        outside: Outside | None = None,
        partners: PaymentPartners | None = None,
    ) -> None:
        super().__init__(
            settings,
            {
                "pii": settings.pii_key_arn,
                "pci": settings.pci_key_arn,
                "index": settings.index_key_arn,
            },
            outside,
        )
        self.api_address = settings.api_address or API_ADDRESS
        self.payment_dependencies = payment_dependencies_of(self, settings, partners)
        self.processor_event_dependencies = processor_event_dependencies_of(
            self, self.payment_dependencies
        )
        claims = ClaimRepository(self.store)
        profiles = self.payment_dependencies.merchants
        self.merchant_dependencies = MerchantDependencies(
            MerchantRepository(self.store),
            claims,
            self._processor_configuration(settings, partners),
            allow_local_webhooks=settings.allow_local_webhooks,
        )
        self.customer_dependencies = CustomerDependencies(
            CustomerRepository(self.store), profiles, self.encryption, claims
        )
        accounts, shard_rows = AccountRepository(self.store), ShardRepository(self.store)
        self.account_dependencies = AccountDependencies(accounts, shard_rows, profiles, claims)
        self.api_key_dependencies = ApiKeyDependencies(
            ApiKeyRepository(self.store), profiles, self.key_ring, claims
        )
        self.transfer_dependencies = TransferDependencies(
            ledger=LedgerRepository(self.store),
            transfers=TransferRepository(self.store),
            accounts=accounts,
            shard_rows=shard_rows,
            merchants=profiles,
            known_hot_accounts=KnownHotAccounts(settings.merchant_cache_seconds, self.outside),
            claims=claims,
            lockout=self.payment_dependencies.lockout,
        )
        self._accounts, self._claims = accounts, claims
        webhooks = WebhookRepository(self.store)
        queue = DeliveryQueue(self.outside.aws.sqs(), settings.delivery_queue_url)
        deadline = timedelta(seconds=settings.webhook_deadline_seconds)
        self.webhook_dependencies = WebhookDependencies(webhooks, queue, claims, deadline)
        self.endpoint_dependencies = EndpointDependencies(
            StoredEndpoints(EndpointRepository(self.store), MerchantRepository(self.store)),
            webhooks,
            queue,
            claims,
            self.outside.threads,
            deadline,
            allow_local=settings.allow_local_webhooks,
        )
        self.settlement_files = SettlementFileDependencies(
            SettlementFileRepository(self.store),
            SignedLinks(self.outside.aws.signing_s3(), settings.settlement_bucket),
            profiles,
            claims,
        )

    @cached_property
    def sandbox_pages(self) -> SandboxPages:
        """Dependencies of the sandbox's page, loaded with the first request for it."""
        from runtime.payments.resolution.sandbox_pages import SandboxPages  # noqa: PLC0415

        return SandboxPages(self.payment_dependencies, SandboxChargeRepository(self.store))

    @cached_property
    def exports(self) -> ExportRequests:
        """Dependencies of requests for exports, loaded with the first of them."""
        from runtime.reporting.exports.requests import ExportRequests  # noqa: PLC0415

        return ExportRequests(
            ExportRepository(self.store),
            self.payment_dependencies.merchants,
            CustomerRepository(self.store),
            self._accounts,
            self.payment_dependencies.payments,
            self._claims,
        )

    @cached_property
    def resolutions(self) -> ResolutionDependencies:
        """Dependencies of resolutions of exceptions, loaded with the first of them."""
        from runtime.reconciliation.exceptions.repository import ResolutionRepository  # noqa: PLC0415
        from runtime.reconciliation.exceptions.resolutions import (  # noqa: PLC0415
            ResolutionDependencies,
        )

        return ResolutionDependencies(
            ResolutionRepository(self.store),
            SettlementLineRepository(self.store),
            self.payment_dependencies.merchants,
            self._claims,
            outside=self.outside,
            must_stop=lambda: self.invocation.remaining_seconds() < BULK_MARGIN_SECONDS,
        )

    def _processor_configuration(
        self, settings: ProcessSettings, partners: PaymentPartners | None
    ) -> ProcessorConfiguration:
        # Identifying a key's account takes two calls, and the request has time for one full one.
        each_seconds = settings.processor_timeout_seconds / 2
        return ProcessorConfiguration(
            connectors_of(
                self, settings, self.payment_dependencies.merchants, each_seconds, partners
            ),
            self.payment_dependencies.payments,
            PaymentLists(self.store),
            ProcessingList(self.store, self.payment_dependencies.intent_lease),
            OpenQueue(self.store, MAX_PARALLEL_BUCKETS),
            settings.processors,
        )


@cache
def process_services() -> ProcessServices:
    """Build the services from the environment, once."""
    return ProcessServices(ProcessSettings.from_environment(os.environ))
