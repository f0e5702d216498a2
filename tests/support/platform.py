"""A platform in one test: its own tables on an engine, its own keys, and a clock that tests move.

The dependencies are the runtime's own; only KMS, S3, SQS and time are fakes at their ports.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.alerts.operational_alerts import OperationalAlerts
from runtime.alerts.repository import AlertRepository
from runtime.core.change_context import ChangeContext
from runtime.core.fair_run import ONE_BY_ONE, RunLimits
from runtime.core.scope import UNRESTRICTED
from runtime.core.timestamps import to_timestamp
from runtime.customers.customers import CustomerDependencies
from runtime.customers.models import Customer
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.index_shards import bucket_for, merchant_list_bucket
from runtime.dynamodb.schema import Row, TableSchema
from runtime.dynamodb.store import Store
from runtime.encryption.field_encryption import FieldEncryption
from runtime.encryption.key_ring import MAX_CACHE_SECONDS, KeyRing
from runtime.encryption.repository import DataKeyRepository
from runtime.http.caller import Caller
from runtime.http.pagination import Cursors
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import IdempotencyRecord
from runtime.idempotency.repository import ClaimRepository
from runtime.idempotency.rules import fingerprint
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.merchants import MerchantDependencies
from runtime.merchants.models import Merchant, MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.payments.api import CaptureRequest, PaymentRequest, RefundRequest
from runtime.payments.charge.charge import create_payment
from runtime.payments.dependencies import PaymentDependencies
from runtime.payments.disputes.kept_event_routes import ProcessorEventDependencies
from runtime.payments.disputes.kept_events import KeptEvents
from runtime.payments.disputes.repository import KeptEventRepository
from runtime.payments.lists_repository import PaymentLists
from runtime.payments.models import Payment
from runtime.payments.operations.operations import cancel_payment, capture_payment, refund_payment
from runtime.payments.operations.rules import LONGEST_RETRY
from runtime.payments.processing_list import ProcessingList
from runtime.payments.processors.configuration import ProcessorConfiguration
from runtime.payments.processors.connectors import Connectors
from runtime.payments.processors.port import Processor
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.queries import PaymentReads
from runtime.payments.rate_limits.rate_limiter import RateLimiter
from runtime.payments.rate_limits.repository import LimitRepository
from runtime.payments.repository import PaymentRepository
from runtime.payments.resolution.open_queue import OpenQueue
from runtime.payments.resolution.resolver import ResolverReport, resolve_due
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.files.bucket import SettlementObjects
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.models import SettlementFile
from runtime.reconciliation.files.queue import SettlementQueue
from runtime.reconciliation.matching.batch import BatchDependencies, record_batch
from runtime.reconciliation.messages import handle_message
from runtime.reconciliation.settlements.queries import SettlementReads
from runtime.reconciliation.settlements.repository import SettlementRepository
from runtime.reporting.summary import SummaryReads
from runtime.reporting.totals.reader import TotalsReader
from runtime.reporting.totals.repository import TotalsRepository
from runtime.settings import PaymentTiming
from runtime.tables import ALL_TABLES
from tests.support.engines.engine import Engine
from tests.support.engines.lazy_tables import LazyEngine, LazyTables
from tests.support.fakes import Clock, FakeKms
from tests.support.oracles.payments import payments_must_agree
from tests.support.outside import new_id, outside
from tests.support.reconciliation.fakes import FakeBucket, FakeQueue, object_created

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RowT = TypeVar("RowT", bound=Row)
Result = TypeVar("Result")

TIMING = PaymentTiming(
    tables={},
    stage="test",
    service="test",
    sandbox_fee_basis_points=290,
)
SETUP = ChangeContext(changed_by="test", request_id="set-up", cause="set-up")
_KEY_ARNS = {"pii": "arn:pii", "pci": "arn:pci", "index": "arn:index"}
CURSOR_KEY = b"the key of the cursors of the tests"
API_URL = "https://api.example"
"""Where the test's requests reach the API."""


class Platform:
    """All tables under unique names, and everything that works on them.

    A table is created when first used, through a client of `engine`.
    """

    def __init__(
        self, engine: Engine, timing: PaymentTiming = TIMING, *, streams: bool = False
    ) -> None:
        prefix = f"t{uuid.uuid4().hex[:12]}"
        self.timing = timing
        self.clock = Clock()
        self.kms = FakeKms()
        self.s3, self.sqs = FakeBucket(clock=self.clock), FakeQueue()
        self.tables = {schema.name: f"{prefix}-{schema.name}" for schema in ALL_TABLES}
        self.key_names = {self.tables[s.name]: s.key_names for s in ALL_TABLES}
        wanted = {}
        for schema in ALL_TABLES:
            arguments = schema.create_table_arguments(self.tables[schema.name])
            if not streams:
                arguments.pop("StreamSpecification", None)  # the tests read no streams
            wanted[self.tables[schema.name]] = arguments
        self._tables = LazyTables(engine.dynamodb(), wanted)
        if streams:
            self._tables.make_all()
        self.engine = LazyEngine.on(engine, self._tables)
        self.client = self.engine.dynamodb()
        self._keys_made = 0
        self.outside = outside(now=self.clock)
        plain = Store(self.client, self.tables, Codec(NoCipher()), lambda: 60.0, self.outside)
        self._ring_seconds = 0.0
        self.key_ring = KeyRing(
            self.kms,  # type: ignore[arg-type]
            DataKeyRepository(plain),
            _KEY_ARNS,  # type: ignore[arg-type]
            replace(self.outside, monotonic=lambda: self._ring_seconds),
        )
        self.encryption = FieldEncryption(self.key_ring, self.outside.entropy)
        self.store = self.store_on(self.client)

    def lose_keys(self) -> None:
        """KMS becomes unavailable, and all cached keys have just expired."""
        self.kms.available = False
        self.forget_keys()

    def forget_keys(self) -> None:
        """All cached keys have just expired."""
        self._ring_seconds += MAX_CACHE_SECONDS + 1

    def drop(self) -> None:
        """Delete the tables."""
        self._tables.drop()

    # ------------------------------------------------------------ the runtime's own parts

    def store_on(
        self,
        client: DynamoDBClient,
        *,
        remaining_seconds: Callable[[], float] = lambda: 60.0,
        sleep: Callable[[float], None] = lambda _: None,
        seed: int = 0,
    ) -> Store:
        """The tables, accessed through `client`."""
        with_chance = replace(self.outside, sleep=sleep, chance=Random(seed))
        return Store(client, self.tables, Codec(self.encryption), remaining_seconds, with_chance)

    def deps(
        self, store: Store | None = None, processor: Processor | None = None
    ) -> PaymentDependencies:
        """Payment dependencies; `store` may be faulty. The sandbox has its own connection."""
        store = store or self.store
        return PaymentDependencies(
            payments=PaymentRepository(store),
            customers=CustomerRepository(store),
            claims=ClaimRepository(store),
            limits=RateLimiter(LimitRepository(store), self.outside),
            merchants=self.profiles(),
            connectors=self.connectors(processor or self.sandbox(store)),
            timing=self.timing,
            outside=self.outside,
        )

    def event_dependencies(self, payments: PaymentDependencies) -> ProcessorEventDependencies:
        """Dependencies of processor events."""
        kept = KeptEvents(KeptEventRepository(self.store), AlertRepository(self.store))
        return ProcessorEventDependencies(payments, kept)

    def connectors(self, processor: Processor) -> Connectors:
        """Every merchant is connected to `processor`."""

        def factory(*_: object) -> Processor:
            return processor

        return Connectors(
            MerchantRepository(self.store),
            {"sandbox": factory, "stripe": factory},
            self.profiles(),
            self.outside,
        )

    def sandbox(self, store: Store | None = None) -> SandboxProcessor:
        """The sandbox processor; it never really waits."""
        return SandboxProcessor(
            SandboxChargeRepository(store or self.store),
            fee_basis_points=self.timing.sandbox_fee_basis_points,
            fee_fixed_minor=self.timing.sandbox_fee_fixed_minor,
            outside=self.outside,
        )

    def customer_dependencies(self) -> CustomerDependencies:
        """Dependencies of customers and their payment methods."""
        return CustomerDependencies(
            CustomerRepository(self.store),
            self.profiles(),
            self.encryption,
            ClaimRepository(self.store),
        )

    def merchant_dependencies(self) -> MerchantDependencies:
        """Dependencies of merchants."""
        return MerchantDependencies(
            MerchantRepository(self.store),
            ClaimRepository(self.store),
            self.processor_configuration(),
        )

    def processor_configuration(
        self, connectors: Connectors | None = None
    ) -> ProcessorConfiguration:
        """Dependencies of merchants' processor accounts."""
        return ProcessorConfiguration(
            connectors or self.connectors(self.sandbox()),
            PaymentRepository(self.store),
            PaymentLists(self.store),
            self.processing_list(),
            OpenQueue(self.store),
            self.timing.processors,
        )

    def profiles(self) -> MerchantProfiles:
        """Merchants' settings, never cached."""
        return MerchantProfiles(MerchantRepository(self.store), 0, self.outside)

    def processing_list(self, store: Store | None = None) -> ProcessingList:
        """Reads of payments in processing."""
        lease = timedelta(seconds=self.timing.intent_lease_seconds)
        return ProcessingList(store or self.store, lease)

    def payment_reads(self) -> PaymentReads:
        """Dependencies of lists."""
        return PaymentReads(
            PaymentRepository(self.store),
            PaymentLists(self.store),
            self.processing_list(),
            self.profiles(),
            CustomerRepository(self.store),
            Cursors(lambda: CURSOR_KEY),
        )

    def summary_reads(self) -> SummaryReads:
        """Dependencies of summaries."""
        return SummaryReads(
            PaymentLists(self.store),
            self.profiles(),
            TotalsReader(TotalsRepository(self.store), self.outside.sleep),
        )

    def settlement_reads(self) -> SettlementReads:
        """Dependencies of settlement lists."""
        return SettlementReads(SettlementRepository(self.store), Cursors(lambda: CURSOR_KEY))

    def reconciliation(
        self, store: Store | None = None, must_stop: Callable[[], bool] = lambda: False
    ) -> ReconciliationDependencies:
        """Dependencies of reconciliation."""
        store = store or self.store
        batches = BatchDependencies(store, self.outside)
        return ReconciliationDependencies(
            objects=SettlementObjects(self.s3, "settlements"),  # type: ignore[arg-type]
            queue=SettlementQueue(self.sqs, "queue"),  # type: ignore[arg-type]
            chunks=SettlementChunkRepository(store),
            merchants=self.profiles(),
            alerts=AlertRepository(store),
            record=partial(record_batch, dependencies=batches),
            must_stop=must_stop,
            outside=self.outside,
        )

    # ------------------------------------------------------------ operations for tests

    def merchant(self, **changes: Any) -> MerchantProfile:
        """A new merchant."""
        now = self.clock()
        merchant_id = new_id("mer", now)
        values: dict[str, Any] = {
            "id": merchant_id,
            "merchant_id": merchant_id,
            "list_bucket": merchant_list_bucket(merchant_id),
            "name": "Shop",
            "email": "shop@example.com",
            "processor": "sandbox",
            "processor_account": None if "processor" in changes else "sandbox",
            "webhook_secret": "whsec_" + "A" * 44,
            "created_at": to_timestamp(now),
            "updated_at": to_timestamp(now),
            **SETUP.stamp(),
            **changes,
        }
        repository = MerchantRepository(self.store)
        repository.create(Merchant(**values), None, token=new_id("tst", now), now=now)
        profile = repository.profile(merchant_id, UNRESTRICTED)
        assert profile is not None
        return profile

    def customer(self, merchant: MerchantProfile, email: str = "who@example.com") -> str:
        """Id of a new customer."""
        now = self.clock()
        customer_id = new_id("cus", now)
        customer = Customer(
            id=customer_id,
            merchant_id=merchant.id,
            merchant_bucket=bucket_for(merchant.id, customer_id, merchant.index_buckets),
            email_index=self.encryption.blind_index(merchant.id, email),
            email=email,
            name="Jane Doe",
            created_at=to_timestamp(now),
            updated_at=to_timestamp(now),
            **SETUP.stamp(),
        )
        repository = CustomerRepository(self.store)
        repository.create(customer, None, token=new_id("tst", now), now=now)
        return customer_id

    def call(
        self,
        merchant: MerchantProfile | None,
        body: dict[str, Any] | None = None,
        key: str | None = None,
        *,
        path: str = "/v1/payments",
        operator: bool = False,
        acting_for: str | None = None,
    ) -> Call:
        """A request as the handlers pass it to the services."""
        now = self.clock()
        method = "POST" if body is not None else "GET"
        permissions = {"admin"} if operator else {"payments", "reports", "customers", "accounts"}
        caller = Caller(
            subject="user",
            merchant_id=None if operator or merchant is None else merchant.id,
            permissions=frozenset(permissions),
            request_id=f"req-{uuid.uuid4().hex[:8]}",
        )
        print_ = fingerprint(method, path, body or {})
        entropy = self.outside.entropy
        return Call(caller, method, path, now, print_, acting_for, key, API_URL, entropy=entropy)

    def pay(
        self,
        merchant: MerchantProfile,
        key: str | None = None,
        *,
        deps: PaymentDependencies | None = None,
        **body: Any,
    ) -> StoredAnswer:
        """POST /v1/payments."""
        self._keys_made += 1
        key = key or f"key-{self._keys_made}"
        full = {"amount": 1000, "currency": "USD", "payment_method": "tok_approved", **body}
        call = self.call(merchant, full, key)
        return create_payment(PaymentRequest(**full), call, deps or self.deps())

    def paid(self, merchant: MerchantProfile, key: str | None = None, **body: Any) -> str:
        """Id of a payment that has succeeded, or is authorized if `body` requests that."""
        answer = self.pay(merchant, key, **body)
        assert answer.status == HTTPStatus.CREATED, answer
        return str(json.loads(answer.body)["id"])

    def operate(
        self,
        merchant: MerchantProfile,
        payment_id: str,
        what: str,
        key: str | None = None,
        *,
        deps: PaymentDependencies | None = None,
        **body: Any,
    ) -> StoredAnswer:
        """POST /v1/payments/{id}/capture, /cancel or /refund."""
        self._keys_made += 1
        key = key or f"key-{self._keys_made}"
        deps = deps or self.deps()
        call = self.call(merchant, body, key, path=f"/v1/payments/{payment_id}/{what}")
        if what == "capture":
            return capture_payment(payment_id, CaptureRequest(**body), call, deps)
        if what == "refund":
            return refund_payment(payment_id, RefundRequest(**body), call, deps)
        return cancel_payment(payment_id, call, deps)

    def resolve(
        self,
        store: Store | None = None,
        processor: Processor | None = None,
        limits: RunLimits = ONE_BY_ONE,
    ) -> ResolverReport:
        """One run of the resolver, sequential unless `limits` say otherwise."""
        store = store or self.store
        deps = self.deps(store, processor)
        return resolve_due(deps, store, "resolver-run", self.operational_alerts(), limits)

    def operational_alerts(self) -> OperationalAlerts:
        """Where a function reports operational alerts."""
        return OperationalAlerts(lambda: AlertRepository(self.store), self.clock)

    def resolve_until_quiet(self) -> None:
        """Runs of the resolver, with time passing in between, until no row is due."""
        for _ in range(20):
            self.clock.advance(LONGEST_RETRY.total_seconds() + 60)
            # Read from the tables: a run that finds nothing asks all shards of the queue for it.
            if not self._is_anything_due():
                return
            self.resolve()
        raise AssertionError("the resolver does not end")

    def _is_anything_due(self) -> bool:
        now = to_timestamp(self.clock())
        for model in (Payment, Transaction):
            table = self.tables[TableSchema.of(model).name]
            pages = self.client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
            for item in chain.from_iterable(page["Items"] for page in pages):
                if "next_action_at" in item and item["next_action_at"]["S"] <= now:
                    return True
        return False

    def reconcile(
        self, key: str, dependencies: ReconciliationDependencies | None = None
    ) -> SettlementFile:
        """The event of a settlement file, and every message that follows from it."""
        self.sqs.waiting.append(object_created(key, self.s3.current(key)))
        self.work_queue(dependencies)
        files = [row for row in self.rows(SettlementFile) if row.key == key]
        return max(files, key=lambda row: row.id)

    def work_queue(self, dependencies: ReconciliationDependencies | None = None) -> None:
        """Handle messages about settlement files until none is left; a failed one stays."""
        while self.sqs.waiting:
            body = self.sqs.waiting[0]
            handle_message(body, "message", dependencies or self.reconciliation())
            self.sqs.waiting.remove(body)

    # ------------------------------------------------------------ stored state

    def rows(self, model: type[RowT]) -> list[RowT]:
        """Every row of a table, read without the repositories."""
        schema = TableSchema.of(model)
        request: dict[str, Any] = {"TableName": self.tables[schema.name], "ConsistentRead": True}
        found: list[RowT] = []
        while True:
            page = self.client.scan(**request)
            found += [self.store.codec.to_row(schema, item, model) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def put(self, row: Row) -> None:
        """Write a row unconditionally."""
        table = self.tables[TableSchema.of(type(row)).name]
        self.client.put_item(TableName=table, Item=self.store.codec.to_item(row))

    def delete(self, row: Row) -> None:
        """Delete a row unconditionally."""
        schema = TableSchema.of(type(row))
        item = self.store.codec.to_item(row)
        key = {name: item[name] for name in schema.key_names}
        self.client.delete_item(TableName=self.tables[schema.name], Key=key)

    def payments(self) -> list[Payment]:
        return sorted(self.rows(Payment), key=lambda row: row.id)

    def payment(self) -> Payment:
        (only,) = self.payments()
        return only

    def charges(self) -> list[SandboxCharge]:
        """What the sandbox really charged or authorized."""
        states = ("approved", "authorized", "voided")
        rows = self.rows(SandboxCharge)
        return [row for row in rows if row.kind == "charge" and row.state in states]

    def claims(self) -> list[IdempotencyRecord]:
        return self.rows(IdempotencyRecord)

    def balances(self) -> Counter[str]:
        """Every account's balance, from the transfers' legs."""
        balances: Counter[str] = Counter()
        for transfer in self.rows(Transfer):
            for leg in transfer.legs:
                balances[leg.from_account_id] -= leg.amount
                balances[leg.to_account_id] += leg.amount
        return balances

    def must_agree(self) -> None:
        """Payments, transactions, transfers and the processor agree to the minor unit."""
        payments_must_agree(self)


class Hooked:
    """A processor with a callback around each charge, capture, refund and void."""

    def __init__(
        self,
        inner: Processor,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner, self._before, self._after = inner, before, after

    def check_method(self, payment_method: str) -> None:
        self._inner.check_method(payment_method)

    def charge(self, request: Any) -> Any:
        self._before()
        answer = self._inner.charge(request)
        self._after()
        return answer

    def operate(self, request: Any) -> Any:
        self._before()
        answer = self._inner.operate(request)
        self._after()
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def at_once(*actions: Callable[[], Result]) -> list[Result | Exception]:
    """Results of actions started together on separate threads; an exception is a result too."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], Result]) -> Result | Exception:
        barrier.wait(timeout=30)
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            return error

    with ThreadPoolExecutor(max_workers=len(actions)) as pool:
        return list(pool.map(run, actions))


def settlement_key(merchant: MerchantProfile, date: str = "2026-03-15") -> str:
    """The key of a settlement file of that day."""
    return f"reconciliation/{merchant.id}/{date}.csv"


def settlement_file(lines: Sequence[str]) -> bytes:
    """A settlement file with our header."""
    header = (
        "payment_id,transaction_id,status,amount,fee,net,currency,processed_date,settlement_date"
    )
    return "\n".join([header, *lines, ""]).encode()


def settlement_line(transaction: Transaction, **changes: Any) -> str:
    """The line that settles `transaction`, with `changes`."""
    cells: dict[str, Any] = {
        "payment_id": transaction.payment_id,
        "transaction_id": transaction.id,
        "status": "settled",
        "amount": transaction.amount,
        "fee": transaction.fee,
        "net": transaction.amount - transaction.fee,
        "currency": transaction.currency,
        "processed_date": "2026-03-14",
        "settlement_date": "2026-03-15",
        **changes,
    }
    return ",".join(str(cell) for cell in cells.values())


def pages(read: Callable[[str | None], Any]) -> Iterator[Any]:
    """Every page of a list, from the first cursor (None) to the last."""
    cursor: str | None = None
    while True:
        page = read(cursor)
        yield page
        assert page.has_more == (page.next_cursor is not None)
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
