"""Clients and services, built once per execution environment and only when first needed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

from runtime.gateways import clients
from runtime.gateways.field_encryption import FieldEncryption
from runtime.gateways.key_ring import KeyPurpose, KeyRing
from runtime.gateways.processors.connectors import Connectors, StripeOptions
from runtime.gateways.processors.port import Processor, ProcessorConfig
from runtime.gateways.processors.sandbox import SandboxProcessor
from runtime.gateways.settlement_files import SettlementFiles
from runtime.repositories.accounts import AccountRepository, is_number_guard
from runtime.repositories.api_keys import ApiKeyRepository
from runtime.repositories.books import Books
from runtime.repositories.claims import ClaimRepository
from runtime.repositories.codec import Codec, NoCipher
from runtime.repositories.customers import CustomerRepository
from runtime.repositories.data_keys import DataKeyRepository
from runtime.repositories.entries import EntryRepository
from runtime.repositories.folding import FoldRepository
from runtime.repositories.ledger import LedgerRepository
from runtime.repositories.limits import LimitRepository
from runtime.repositories.merchants import MerchantRepository
from runtime.repositories.payment_lists import PaymentLists
from runtime.repositories.payments import PaymentRepository
from runtime.repositories.proofs import ProofRepository
from runtime.repositories.sandbox_charges import SandboxChargeRepository
from runtime.repositories.sealed_rows import SealedRows
from runtime.repositories.settlements import SettlementRepository
from runtime.repositories.store import Store
from runtime.repositories.transfers import TransferRepository
from runtime.services.account_queries import AccountArchive
from runtime.services.accounts import AccountDesk
from runtime.services.api_keys import ApiKeyArchive, ApiKeyDesk
from runtime.services.customers import CustomerArchive, CustomerDesk
from runtime.services.entries_projection import EntriesProjection
from runtime.services.folded_accounts import FoldedAccounts
from runtime.services.folding_projection import FoldingProjection
from runtime.services.hold_expiry import ExpiryDesk
from runtime.services.key_rotation import RotationDesk
from runtime.services.limits import RateLimiter
from runtime.services.merchant_profiles import MerchantProfiles
from runtime.services.merchants import MerchantDesk
from runtime.services.pages import Cursors
from runtime.services.payment_desk import PaymentDesk
from runtime.services.payment_queries import PaymentArchive
from runtime.services.projector import Projector
from runtime.services.proof_work import ProofDesk
from runtime.services.reconciliation import ReconciliationDesk
from runtime.services.settlement_queries import SettlementArchive
from runtime.services.transfer_queries import TransferArchive
from runtime.services.transfers import TransferDesk
from runtime.settings import (
    HoldsSettings,
    PaymentTiming,
    ProcessSettings,
    ProjectSettings,
    ProofSettings,
    QuerySettings,
    ReconcileSettings,
    ResolverSettings,
    RotationSettings,
    Settings,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

_CURSOR_SUBJECT = "cursor"


@dataclass
class Invocation:
    """How long the running invocation may still take. Lambda runs one at a time per environment."""

    _ends: float = field(default=0.0)

    def begin(self, context: LambdaContext) -> None:
        """A new invocation has begun."""
        self._ends = time.monotonic() + context.get_remaining_time_in_millis() / 1000

    def remaining_seconds(self) -> float:
        """Seconds until Lambda stops us."""
        return self._ends - time.monotonic()


class FunctionServices:
    """What every function needs: its settings, its tables, its time."""

    def __init__(
        self, settings: Settings, key_arns: Mapping[KeyPurpose, str] | None = None
    ) -> None:
        self.stage = settings.stage
        self.invocation = Invocation()
        self._tables = settings.table_names()
        self._key_arns = key_arns or {}

    def begin(self, context: LambdaContext) -> None:
        """Start the invocation's clock and counts."""
        self.invocation.begin(context)
        self.store.usage.restart()

    @cached_property
    def client(self) -> DynamoDBClient:
        """The one DynamoDB client."""
        return clients.dynamodb()

    @cached_property
    def kms(self) -> KMSClient:
        """The one KMS client."""
        return clients.kms()

    @cached_property
    def key_ring(self) -> KeyRing:
        """Data keys; the keys table itself holds nothing that we encipher."""
        plain = Store(
            self.client, self._tables, Codec(NoCipher()), self.invocation.remaining_seconds
        )
        return KeyRing(self.kms, DataKeyRepository(plain), self._key_arns)

    @cached_property
    def encryption(self) -> FieldEncryption:
        """Field encryption with this function's keys."""
        return FieldEncryption(self.key_ring)

    @cached_property
    def store(self) -> Store:
        """The tables of this function."""
        codec = Codec(self.encryption if self._key_arns else NoCipher())
        return Store(self.client, self._tables, codec, self.invocation.remaining_seconds)

    def payment_desk_with(self, timing: PaymentTiming) -> PaymentDesk:
        """The payment use-cases' tools."""
        return PaymentDesk(
            payments=PaymentRepository(self.store),
            customers=CustomerRepository(self.store),
            claims=ClaimRepository(self.store),
            limits=RateLimiter(LimitRepository(self.store)),
            merchants=self.profiles_for(timing.merchant_cache_seconds),
            connectors=self._connectors(timing),
            timing=timing,
        )

    def _connectors(self, timing: PaymentTiming) -> Connectors:
        """Every processor there is; a merchant names its own."""

        def sandbox(config: Callable[[], ProcessorConfig]) -> Processor:
            return SandboxProcessor(
                SandboxChargeRepository(self.store),
                fee_basis_points=timing.sandbox_fee_basis_points,
                fee_fixed_minor=timing.sandbox_fee_fixed_minor,
                config=config,
            )

        stripe = StripeOptions(timing.stripe_api_base, timing.processor_timeout_seconds)
        return Connectors(
            MerchantRepository(self.store),
            {"sandbox": sandbox, "stripe": stripe.connector},
            timing.merchant_cache_seconds,
        )

    def profiles_for(self, remember_seconds: float) -> MerchantProfiles:
        """Merchants' settings, remembered for so long."""
        return MerchantProfiles(MerchantRepository(self.store), remember_seconds)


class ProcessServices(FunctionServices):
    """Behind handlers/process.py."""

    def __init__(self, settings: ProcessSettings) -> None:
        super().__init__(
            settings,
            {
                "pii": settings.pii_key_arn,
                "pci": settings.pci_key_arn,
                "index": settings.index_key_arn,
            },
        )
        self.payment_desk = self.payment_desk_with(settings)
        claims = ClaimRepository(self.store)
        profiles = self.payment_desk.merchants
        self.merchant_desk = MerchantDesk(
            MerchantRepository(self.store),
            claims,
            allow_local_webhooks=settings.allow_local_webhooks,
        )
        self.customer_desk = CustomerDesk(
            CustomerRepository(self.store), profiles, self.encryption, claims
        )
        accounts, folds = AccountRepository(self.store), FoldRepository(self.store)
        self.account_desk = AccountDesk(accounts, folds, profiles, claims)
        self.api_key_desk = ApiKeyDesk(
            ApiKeyRepository(self.store), profiles, self.key_ring, claims
        )
        self.transfer_desk = TransferDesk(
            ledger=LedgerRepository(self.store),
            transfers=TransferRepository(self.store),
            accounts=accounts,
            folds=folds,
            merchants=profiles,
            folded=FoldedAccounts(settings.merchant_cache_seconds),
            claims=claims,
            lock_out=self.payment_desk.lock_out,
        )


class QueryServices(FunctionServices):
    """Behind handlers/query.py."""

    def __init__(self, settings: QuerySettings) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn, "index": settings.index_key_arn})
        cursors = Cursors(self._cursor_key)
        self.merchants = MerchantRepository(self.store)
        self.customers = CustomerRepository(self.store)
        self.customer_archive = CustomerArchive(self.customers, self.encryption, cursors)
        profiles = self.profiles_for(settings.merchant_cache_seconds)
        self.accounts = AccountArchive(
            AccountRepository(self.store),
            FoldRepository(self.store),
            EntryRepository(self.store),
            self.customers,
            profiles,
            cursors,
        )
        self.transfers = TransferArchive(TransferRepository(self.store), self.accounts)
        self.payments = PaymentArchive(
            PaymentRepository(self.store),
            PaymentLists(self.store),
            profiles,
            self.customers,
            cursors,
        )
        self.api_keys = ApiKeyArchive(ApiKeyRepository(self.store), profiles, cursors)
        self.proofs = ProofRepository(self.store)
        self.settlements = SettlementArchive(SettlementRepository(self.store), cursors)

    def _cursor_key(self) -> bytes:
        return self.key_ring.key_for_writing("index", _CURSOR_SUBJECT)[1]


class ReconcileServices(FunctionServices):
    """Behind handlers/reconcile.py."""

    def __init__(self, settings: ReconcileSettings) -> None:
        super().__init__(settings)
        margin = settings.stop_before_timeout_seconds
        self.desk = ReconciliationDesk(
            files=SettlementFiles(
                clients.s3(),
                clients.sqs(),
                settings.settlement_bucket,
                settings.continuation_queue_url,
            ),
            settlements=SettlementRepository(self.store),
            merchants=self.profiles_for(0),
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


class ResolverServices(FunctionServices):
    """Behind handlers/resolve.py."""

    def __init__(self, settings: ResolverSettings) -> None:
        super().__init__(settings, {"pii": settings.pii_key_arn})
        self.payment_desk = self.payment_desk_with(settings)


class RotationServices(FunctionServices):
    """Behind handlers/rotate.py."""

    def __init__(self, settings: RotationSettings) -> None:
        super().__init__(
            settings,
            {
                "pii": settings.pii_key_arn,
                "pci": settings.pci_key_arn,
                "index": settings.index_key_arn,
            },
        )
        margin = settings.stop_before_timeout_seconds
        self.desk = RotationDesk(
            rows=SealedRows(self.store),
            keys=DataKeyRepository(self.store),
            ring=self.key_ring,
            encryption=self.encryption,
            clock=lambda: datetime.now(UTC),
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


class HoldsServices(FunctionServices):
    """Behind handlers/holds.py."""

    def __init__(self, settings: HoldsSettings) -> None:
        super().__init__(settings)
        margin = settings.stop_before_timeout_seconds
        self.desk = ExpiryDesk(
            ledger=LedgerRepository(self.store),
            transfers=TransferRepository(self.store),
            clock=lambda: datetime.now(UTC),
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


class ProjectServices(FunctionServices):
    """Behind handlers/project.py."""

    def __init__(self, settings: ProjectSettings) -> None:
        super().__init__(settings)
        self.names_by_table = {name: schema for schema, name in settings.table_names().items()}
        self._request_id = ""
        folding = FoldingProjection(
            folds=FoldRepository(self.store),
            accounts=AccountRepository(self.store),
            clock=lambda: datetime.now(UTC),
            request_id=lambda: self._request_id,
        )
        self.projector = Projector(
            codec=self.store.codec,
            projections={
                "accounts": (EntriesProjection(self.store),),
                "transfers": (folding,),
            },
            stands_aside=is_number_guard,
        )

    def begin(self, context: LambdaContext) -> None:
        """Start the invocation's clock, and remember its id for what it changes."""
        super().begin(context)
        self._request_id = context.aws_request_id


class ProofServices(FunctionServices):
    """Behind handlers/proof.py."""

    def __init__(self, settings: ProofSettings) -> None:
        super().__init__(settings)
        margin = settings.stop_before_timeout_seconds
        self.desk = ProofDesk(
            proofs=ProofRepository(self.store),
            books=Books(self.store),
            clock=lambda: datetime.now(UTC),
            sleep=time.sleep,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
            cut=timedelta(seconds=settings.cut_seconds),
            patience_seconds=settings.patience_seconds,
        )


@cache
def process_services() -> ProcessServices:
    """Built from the environment at the first event."""
    return ProcessServices(ProcessSettings.from_environment(os.environ))


@cache
def query_services() -> QueryServices:
    """Built from the environment at the first event."""
    return QueryServices(QuerySettings.from_environment(os.environ))


@cache
def reconcile_services() -> ReconcileServices:
    """Built from the environment at the first event."""
    return ReconcileServices(ReconcileSettings.from_environment(os.environ))


@cache
def resolver_services() -> ResolverServices:
    """Built from the environment at the first event."""
    return ResolverServices(ResolverSettings.from_environment(os.environ))


@cache
def project_services() -> ProjectServices:
    """Built from the environment at the first event."""
    return ProjectServices(ProjectSettings.from_environment(os.environ))


@cache
def proof_services() -> ProofServices:
    """Built from the environment at the first event."""
    return ProofServices(ProofSettings.from_environment(os.environ))


@cache
def holds_services() -> HoldsServices:
    """Built from the environment at the first event."""
    return HoldsServices(HoldsSettings.from_environment(os.environ))


@cache
def rotation_services() -> RotationServices:
    """Built from the environment at the first event."""
    return RotationServices(RotationSettings.from_environment(os.environ))
