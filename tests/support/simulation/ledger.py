"""The ledger's services on a world's tables, used by clients whose connections fail."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from runtime.customers.lockout_rules import Lockout
from runtime.dynamodb.store import Store
from runtime.functions.composition.projector import Projector
from runtime.http.responses import StoredAnswer
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.account_lifecycle import activate_account, deactivate_account
from runtime.ledger.accounts.accounts import AccountDependencies, create_account
from runtime.ledger.accounts.api import AccountRequest
from runtime.ledger.accounts.repository import AccountRepository, is_number_guard
from runtime.ledger.entries.projection import EntriesProjection
from runtime.ledger.holds.expiry import ExpiryReport, HoldExpiryDependencies, expire_due_holds
from runtime.ledger.holds.holds import cancel_transfer, post_transfer
from runtime.ledger.hot_accounts.known_accounts import KnownHotAccounts
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.repository import LedgerRepository
from runtime.ledger.rules import opening_account
from runtime.ledger.transfers.api import PostRequest, TransferRequest
from runtime.ledger.transfers.repository import TransferRepository
from runtime.ledger.transfers.transfers import TransferDependencies, create_transfer
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.settings import PaymentTiming, VerifyLedgerSettings
from runtime.streams.records import StreamRecord, batch_answer
from runtime.verification.accounts.checkpoints import Checkpoints
from runtime.verification.books_repository import VerificationReads
from runtime.verification.repository import VerificationRepository
from runtime.verification.rules import LedgerVerificationReport, RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import LedgerVerificationDependencies
from tests.support.engines.faults import Faults, ItemLocks, seeded
from tests.support.engines.streams import QUIET, Handler, SourceSettings, StreamFaults, StreamPoller
from tests.support.fakes import ParkingLot
from tests.support.iam_guard import restrict_to
from tests.support.ledger_changes import ChangedTables
from tests.support.oracles.ledger import TRANSFERS, Books, Story, legs_in
from tests.support.oracles.ledger_model import LedgerModel, ModelAccount, net_of
from tests.support.outside import OUTSIDE
from tests.support.platform import TIMING, Platform
from tests.support.simulation.commit_watch import CommitWatch

if TYPE_CHECKING:
    from tests.support.engines.engine import Engine

STREAMED = ("accounts", "transfers")
CUT = timedelta(seconds=30)
"""For verification: by the tests' clock no request takes this long."""
LOCKOUT = Lockout(after_failures=3, seconds=1_800)
_SLEEP_SCALE = 0.5
"""The engines answer faster than AWS, and these tests do not wait for a busy region."""


@dataclass(frozen=True)
class Order:
    """One request of a client under one key, with all its repetitions."""

    key: str
    path: str
    body: dict[str, Any]

    @property
    def transfer_id(self) -> str:
        """Of a post or cancel: the hold's id."""
        return self.path.split("/")[3]


class LedgerClient:
    """One client: its own connection, with its own faults."""

    def __init__(
        self, platform: LedgerPlatform, store: Store, faults: Faults | None = None
    ) -> None:
        self._world = platform
        self.faults = faults
        self.store = store
        self.deps = TransferDependencies(
            ledger=LedgerRepository(store),
            transfers=TransferRepository(store),
            accounts=AccountRepository(store),
            shard_rows=ShardRepository(store),
            merchants=platform.profiles,
            known_hot_accounts=KnownHotAccounts(1.0, OUTSIDE),
            claims=ClaimRepository(store),
            lockout=LOCKOUT,
        )
        self.account_dependencies = AccountDependencies(
            AccountRepository(store),
            ShardRepository(store),
            platform.profiles,
            ClaimRepository(store),
        )

    def send(self, order: Order) -> StoredAnswer:
        """Send it once. Raises what the service raises."""
        return self.prepare(order)()

    def prepare(self, order: Order) -> Callable[[], StoredAnswer]:
        """The request as it arrives now, to be processed when called."""
        call = self._world.call(order.body, order.key, order.path)
        body = json.dumps(order.body)
        if order.path == TRANSFERS:
            request = self.request(order)
            return lambda: create_transfer(request, call, self.deps)
        if order.path.endswith("/post"):
            to_post = PostRequest.model_validate_json(body)
            return lambda: post_transfer(order.transfer_id, to_post, call, self.deps)
        return lambda: cancel_transfer(order.transfer_id, call, self.deps)

    @staticmethod
    def request(order: Order) -> TransferRequest:
        """The body of a transfer or hold."""
        return TransferRequest.model_validate_json(json.dumps(order.body))

    def forget_folded(self) -> None:
        """Clear the cache of hot accounts."""
        self.deps = replace(self.deps, known_hot_accounts=KnownHotAccounts(1.0, OUTSIDE))

    def set_active(self, account_id: str, active: bool) -> StoredAnswer:
        """Activate or deactivate an account, without a key."""
        action = "activate" if active else "deactivate"
        change = activate_account if active else deactivate_account
        call = self._world.call({}, None, f"/v1/accounts/{account_id}/{action}")
        return change(account_id, call, self.account_dependencies)

    def expire(self) -> ExpiryReport:
        """One run of the sweep of expired holds."""
        deps = HoldExpiryDependencies(
            ledger=self.deps.ledger,
            transfers=self.deps.transfers,
            outside=self._world.platform.outside,
            must_stop=lambda: False,
        )
        return expire_due_holds(deps, "expiry-run")


@dataclass
class LedgerPlatform:
    """Accounts of one merchant, the clients that move its money, and the projector behind them."""

    engine: Engine
    seed: str
    stream_faults: StreamFaults = QUIET
    projector_faults: float = 0.0
    lock_seconds: float = 0.0
    timing: PaymentTiming = TIMING
    model: LedgerModel = field(default_factory=LedgerModel)

    def __post_init__(self) -> None:
        self.platform = Platform(self.engine, self.timing, streams=True)
        self.changes = ChangedTables(self.platform)
        self.profiles = MerchantProfiles(
            MerchantRepository(self.platform.store), 3600, self.platform.outside
        )
        self.merchant = self.platform.merchant(index_buckets=2)
        self.locks = ItemLocks(self.platform.key_names, hold_seconds=self.lock_seconds)
        self.watch = CommitWatch(
            self.platform.engine.dynamodb(),
            self.platform.tables["accounts"],
            self.platform.tables["transfers"],
        )
        self.watch.attach(self.platform.client)
        self.numbers = itertools.count()
        self.calm = LedgerClient(self, self.platform.store)
        self.parking = ParkingLot()
        self.poller = StreamPoller(
            self.engine,
            [self.platform.tables[name] for name in STREAMED],
            self.projector(),
            seed=self.seed,
            faults=self.stream_faults,
            settings=SourceSettings(batch_size=40),
        )

    # ------------------------------------------------------------ creating data

    def call(self, body: dict[str, Any], key: str | None, path: str) -> Any:
        """A request of an operator who acts for the merchant."""
        return self.platform.call(
            self.merchant, body, key, path=path, operator=True, acting_for=self.merchant.id
        )

    def client(
        self, name: str, rate: float = 0.0, kills: float = 0.0, patience: int | None = None
    ) -> LedgerClient:
        """A client whose connection fails by its own seed.

        It gives up after about `patience` tries, or never.
        """
        faults = Faults(seeded(f"{self.seed}-{name}", rate, kills, kill_anywhere=True))
        return LedgerClient(self, self._store(faults, name, patience), faults)

    def client_with(self, faults: Faults) -> LedgerClient:
        """A patient client with these faults."""
        return LedgerClient(self, self._store(faults, "planned"), faults)

    def open(
        self, currency: str = "USD", opening: int = 0, *, folded: bool = False, credit: int = 0
    ) -> str:
        """Id of a new account; its opening balance is a transfer."""
        body: dict[str, Any] = {
            "account_type": "wallet",
            "currency": currency,
            "opening_balance": opening,
            "credit_limit": credit,
            "posting": "folded" if folded else "immediate",
        }
        request = AccountRequest.model_validate_json(json.dumps(body))
        call = self.call(body, f"open-{next(self.numbers)}", "/v1/accounts")
        answer = json.loads(create_account(request, call, self.calm.account_dependencies).body)
        account_id = str(answer["id"])
        accounts = self.model.accounts
        accounts[account_id] = ModelAccount(currency, folded, credit)
        if opening:
            source = opening_account(currency)
            accounts.setdefault(source, ModelAccount(currency, folded=True))
            self.model.transfer(f"opening-{account_id}", [(source, account_id, opening)])
        return account_id

    def order(
        self, source: str = "", target: str = "", amount: int = 0, *, key: str = "", **more: Any
    ) -> Order:
        """A transfer or hold to be sent under a fresh key; `legs` replace from, to and amount."""
        body: dict[str, Any] = {"currency": "USD", **more}
        if "legs" not in body:
            body |= {"from_account_id": source, "to_account_id": target, "amount": amount}
        return Order(key or self.fresh_key(), TRANSFERS, body)

    def post_order(self, hold_id: str, amount: int | None = None, *, key: str = "") -> Order:
        """A post of a hold, in full or in part."""
        body = {} if amount is None else {"amount": amount}
        return Order(key or self.fresh_key(), f"{TRANSFERS}/{hold_id}/post", body)

    def cancel_order(self, hold_id: str, *, key: str = "") -> Order:
        """A cancel of a hold."""
        return Order(key or self.fresh_key(), f"{TRANSFERS}/{hold_id}/cancel", {})

    def fresh_key(self) -> str:
        """An unused idempotency key."""
        return f"key-{next(self.numbers)}"

    def hold(self, source: str, target: str, amount: int, **more: Any) -> str:
        """Id of a new hold, also applied to the model."""
        answer = self.calm.send(self.order(source, target, amount, hold=True, **more))
        assert answer.status == 201, answer
        document = json.loads(answer.body)
        self.model.hold(document["id"], legs_in(document), document["expires_at"])
        return str(document["id"])

    # ------------------------------------------------------------ checks

    def must_balance(self, story: Story | None = None, orders: Sequence[Order] = ()) -> Books:
        """At rest, everything agrees to the unit.

        The model has applied the same requests, or now applies the answers in `story`.
        """
        self.poller.drain(workers=2)
        books = Books(self)
        self._model_facts(books)
        if story is not None:
            story.apply_to(self.model, orders, books)
            story.must_be_of(self.merchant.id, orders, books)
        books.must_hold(self.model)
        assert self.watch.below == [], "a debit below the account's floor was accepted"
        self.must_be_verified()
        return books

    def _model_facts(self, books: Books) -> None:
        """Bookings of payments are included; the ledger must have applied exactly those."""
        for row in books.transfers.values():
            if row.payment_id is None:
                continue
            legs = [(leg.from_account_id, leg.to_account_id, leg.amount) for leg in row.legs]
            for name in net_of(legs):
                self.model.accounts.setdefault(name, ModelAccount(row.currency, folded=True))
            self.model.transfer(row.id, legs)

    def must_be_verified(self) -> None:
        """Ledger verification finds no violations, with a cut after everything so far."""
        report = self.verify_ledger()
        assert report.holds, report

    def verify_ledger(self, kind: RunKind = RunKind.FULL) -> LedgerVerificationReport:
        """Run ledger verification on the current data."""
        self.platform.clock.advance(2 * CUT.total_seconds())
        client = self.platform.engine.dynamodb()
        restrict_to(client, VerifyLedgerSettings.TABLE_USES, self.platform.tables)
        store = self.platform.store_on(client)
        deps = LedgerVerificationDependencies(
            verifications=VerificationRepository(store),
            books=VerificationReads(store, segments=2),
            changes=self.changes,
            checkpoints=Checkpoints(store),
            outside=replace(self.platform.outside, sleep=self.platform.clock.advance),
            must_stop=lambda: False,
            cut=CUT,
            grace_seconds=1.0,
        )
        report = verify_ledger(deps, kind=kind).report
        assert report is not None, "the verification run is not completed"
        return report

    # ------------------------------------------------------------ infrastructure

    def _store(self, faults: Faults, name: str, patience: int | None = None) -> Store:
        client = self.locks.attach(faults.attach(self.platform.engine.dynamodb()))
        self.watch.attach(client)
        return self.platform.store_on(
            client,
            remaining_seconds=_giving_up(Random(f"{self.seed}-{name}"), patience),
            sleep=lambda seconds: time.sleep(seconds * _SLEEP_SCALE),
            seed=len(name),
        )

    def projector(self, planned: Faults | None = None) -> Handler:
        """The projector as a Lambda function: an environment per thread, with seeded faults.

        `planned` ones instead are shared by all threads.
        """
        rate, counter, local = self.projector_faults, itertools.count(), threading.local()
        names = {self.platform.tables[name]: name for name in STREAMED}

        def environment() -> Projector:
            name = f"projector-{next(counter)}"
            plan = seeded(f"{self.seed}-{name}", rate, rate / 4, kill_anywhere=True)
            store = self._store(planned or Faults(plan), name, patience=30)
            folding = ShardProjection(
                ShardRepository(store),
                AccountRepository(store),
                self.platform.outside,
                lambda: name,
                self.parking,
            )
            return Projector(
                store.codec,
                {"accounts": (EntriesProjection(store),), "transfers": (folding,)},
                is_number_guard,
                self.parking,
            )

        def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
            if not hasattr(local, "projector"):
                local.projector = environment()
            records = [StreamRecord.of(raw, names) for raw in event["Records"]]
            return batch_answer(records, local.projector.apply(records))

        return handler


def _giving_up(dice: Random, patience: int | None) -> Callable[[], float]:
    """Remaining time, read before each retry: now and then it has run out."""
    return lambda: 0.0 if patience and dice.random() < 1 / patience else 60.0
