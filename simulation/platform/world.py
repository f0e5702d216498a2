"""One world: the platform with everything around it, on one thread, from one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError

from runtime.core.outside import Outside
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.payment_services import PaymentPartners
from runtime.payments.processors.port import Processor, ProcessorConfig
from runtime.payments.processors.sandbox.connector import SandboxProcessor
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.tables import ALL_TABLES
from simulation.aws.account import AwsAccount
from simulation.aws.s3 import arguments_of_link
from simulation.aws.sqs import Queue
from simulation.clients.client import Client
from simulation.clients.kinds import CLIENTS
from simulation.clients.setup import Builder, InitialData
from simulation.dynamodb import Change, InMemoryClient, InMemoryDynamoDB
from simulation.environments import Environment
from simulation.faults import FaultRates, PartnerRates
from simulation.outside import BEGINNING, outside_for
from simulation.partners.acquirer import Acquirer
from simulation.partners.movements import SandboxMovements
from simulation.partners.notifier import Notifier
from simulation.partners.receivers import Endpoints, ReceiverRates
from simulation.partners.sandbox import SandboxLine
from simulation.partners.stripe_account import StripeAccount
from simulation.partners.stripe_network import StripeNetwork
from simulation.partners.stripe_server import StripeServer
from simulation.platform.deployments import Deployer
from simulation.platform.edits import Editor
from simulation.platform.functions import FUNCTIONS, Functions, Partners
from simulation.platform.gateway import Gateway
from simulation.platform.history import History, gateway_id
from simulation.platform.http import HttpRequest, HttpResponse
from simulation.platform.logs import ErrorLog
from simulation.platform.pauses import Pauses
from simulation.platform.plan import Part, Plan
from simulation.platform.run_state import RunState
from simulation.platform.settings import (
    AUDIT_BUCKET,
    BUCKETS,
    DELIVERIES,
    EXPORT_JOBS,
    QUEUES,
    SETTLEMENT_BUCKET,
    SETTLEMENT_FILES,
    StageSettings,
)
from simulation.platform.settling import paused, settle
from simulation.platform.sources import Sources
from simulation.scheduler import Scheduler
from simulation.tasks import Violation
from simulation.watch.watching import CommitWatch

LONGEST_INDEX_LAG: Final = 0.5
"""Seconds until an index shows a change; mostly far less."""
VISIBILITY_PER_TIMEOUT: Final = 6
"""A message stays hidden for six times its consumer's timeout (stacks/constructs/queues.py)."""
CONSUMERS: Final = {DELIVERIES: "deliver", EXPORT_JOBS: "export", SETTLEMENT_FILES: "reconcile"}
"""Who works on the messages of each queue."""


class Platform:
    """The whole platform in virtual time.

    `watch` judges and hashes every commit from the first one on; what it finds ends the run with a
    Violation, unless `stops` is False.
    """

    def __init__(self, seed: str, plan: Plan, *, stops: bool = True) -> None:
        self.seed, self.plan = seed, plan
        self.scheduler = scheduler = Scheduler(seed, FaultRates.calm())
        self.state = RunState(lambda: scheduler.now)
        lag = Random(f"{seed}-lag")
        self.database = InMemoryDynamoDB(
            now=lambda: scheduler.now,
            epoch=BEGINNING.timestamp(),
            index_lag=lambda: lag.random() ** 4 * LONGEST_INDEX_LAG,
        )
        self.tables = {schema.name: f"{schema.name}" for schema in ALL_TABLES}
        self.watch = CommitWatch(
            lambda: scheduler.now,
            self.database,
            self.tables,
            epoch=BEGINNING.timestamp(),
            stops=stops,
        )
        self._make_tables()
        self.aws = AwsAccount(scheduler, self.database, PartnerRates.calm())
        self.queues = {
            name: self._make_queue(name, function) for name, function in CONSUMERS.items()
        }
        for bucket in BUCKETS:
            self.aws.s3.create(bucket, locked=bucket == AUDIT_BUCKET)
        self.aws.announce(SETTLEMENT_BUCKET, self.queues[SETTLEMENT_FILES])
        self.line = PartnerRates.calm()
        """The line to processors and endpoints."""
        self.log = ErrorLog(self._found_defect, self._found_line, lambda: self.state.phase)
        self.log.install()
        self.history = History()
        self.stripe = StripeServer(
            lambda: scheduler.now,
            BEGINNING.timestamp(),
            Random(f"{seed}-stripe"),
            self._stripe_says,
        )
        self.notifier = Notifier(scheduler, self, Random(f"{seed}-notifier"))
        self.sandbox = SandboxMovements()
        self.database.on_commit.append(self._sandbox_moved)
        self.acquirer = Acquirer(
            self.sandbox, self.stripe, lambda: scheduler.now, self._put_settlement_file
        )
        self.endpoints = Endpoints(
            scheduler, lambda: self.line, Random(f"{seed}-endpoints"), ReceiverRates.calm()
        )
        self.deliveries = self.endpoints.received
        stage = self._settings()
        self._sandbox_store = self._store_of_the_sandbox()
        self.functions = Functions(
            scheduler, stage, self._partners(stage), self._outside_of, self.log.raised
        )
        self.gateway = Gateway(self.functions)
        self.sources = Sources(
            scheduler, self.database, self.tables, self.functions, self.queues, self._gave_up
        )
        self.initial: InitialData | None = None
        self.clients: list[Client] = []
        self.impatience = 0.0
        self.proof: dict[str, Any] = {}
        self.proof_of_changes: dict[str, Any] = {}
        """The answers of the last full and incremental ledger verification, at rest."""
        self.deployer = Deployer(self, Random(f"{seed}-deployer"))
        self.editor = Editor(self, Random(f"{seed}-editor"))
        self._beside = 0
        self.pauses = Pauses(
            scheduler,
            plan.pauses if Part.PAUSES in plan.parts else (),
            lambda: sum(client.done for client in self.clients),
        )

    # ------------------------------------------------------------ building

    def _settings(self) -> StageSettings:
        urls = {setting: self.queues[name].url for setting, name in QUEUES.items()}
        return StageSettings(self.tables, urls)

    def _make_tables(self) -> None:
        for schema in ALL_TABLES:
            name = self.tables[schema.name]
            self.database.create_table(**schema.create_table_arguments(name))
            if schema.ttl_attribute:
                self.database.update_time_to_live(
                    TableName=name,
                    TimeToLiveSpecification={
                        "Enabled": True,
                        "AttributeName": schema.ttl_attribute,
                    },
                )

    def _make_queue(self, name: str, function: str) -> Queue:
        seconds = FUNCTIONS[function].seconds * VISIBILITY_PER_TIMEOUT
        return self.aws.sqs.create(name, visibility_seconds=seconds)

    def _outside_of(self, environment: Environment) -> Outside:
        return outside_for(self.scheduler, environment, self.aws.clients(environment))

    def _store_of_the_sandbox(self) -> Store:
        outside = outside_for(self.scheduler, None, self.aws.clients(None))
        client: Any = InMemoryClient(self.database)
        return Store(client, self.tables, Codec(NoCipher()), lambda: 60.0, outside)

    def _partners(self, stage: StageSettings) -> Partners:
        memory, timing = SandboxChargeRepository(self._sandbox_store), stage.timing

        def sandbox(merchant_id: str, config: Callable[[], ProcessorConfig]) -> Processor:
            inner = SandboxProcessor(
                memory,
                fee_basis_points=timing.sandbox_fee_basis_points,
                fee_fixed_minor=timing.sandbox_fee_fixed_minor,
                outside=replace(self._sandbox_store.outside, sleep=lambda _: None),
                config=config,
                account=merchant_id,
            )
            return SandboxLine(inner, self.scheduler, lambda: self.line)

        def stripe_http(seconds: float) -> StripeNetwork:
            return StripeNetwork(self.stripe, self.scheduler, lambda: self.line, seconds)

        return Partners(PaymentPartners(stripe_http, sandbox), self.endpoints)

    # ------------------------------------------------------------ processors

    def _stripe_says(self, account: StripeAccount, event: dict[str, Any]) -> None:
        shop = None if self.initial is None else self.initial.of_key(account.api_key)
        if shop is not None:
            hint = event["type"].startswith("payment_intent.")
            self.notifier.tell(shop, event, hint=hint)

    def _sandbox_moved(self, changes: list[Change]) -> None:
        table = self.tables[SandboxCharge.table_schema.name]
        for change in changes:
            if change.table.name == table:
                self.sandbox.look(change.old, change.new, self.scheduler.now)

    def _put_settlement_file(self, key: str, body: bytes) -> None:
        self.aws.s3.put_object(Bucket=SETTLEMENT_BUCKET, Key=key, Body=body)

    def items(self, table: str) -> Iterable[Mapping[str, Any]]:
        """All rows of a table, by its name in the schema, in DynamoDB's typed form."""
        return self.database.tables[self.tables[table]].items.values()

    # ------------------------------------------------------------ what clients see

    def api(self, request: HttpRequest, impatience: float | None = None) -> HttpResponse:
        """One attempt at a request. Raises ClientGone after `impatience` seconds."""
        exchange = self.history.begin(request, self.scheduler.now, calm=self.state.is_calm)
        try:
            response = self.gateway.send(request, gateway_id(exchange.number), impatience)
            exchange.response = response
        finally:
            exchange.ended = self.scheduler.now
        return response

    def follow(self, link: str, body: bytes | None = None) -> bytes | None:
        """Use a signed link: put `body`, or read what is there; None where S3 refuses."""
        operation, arguments = arguments_of_link(link)
        assert operation == ("get_object" if body is None else "put_object"), link
        try:
            if body is None:
                read: bytes = self.aws.s3.get_object(**arguments)["Body"].read()
                return read
            self.aws.s3.put_object(Body=body, **arguments)
        except ClientError:
            return None
        return body

    def sleep(self, seconds: float) -> None:
        """Let others go on for so long."""
        self.scheduler.sleep(seconds)

    def beside(self, work: Callable[[], None], name: str) -> None:
        """Have something done at the same time; the run waits for it."""

        def counted() -> None:
            work()
            self._beside -= 1

        self._beside += 1
        self.scheduler.spawn(counted, name)

    def pause_if_due(self) -> None:
        """Wait here while the world is brought to rest after so many operations."""
        self.pauses.wait_if_due()

    def open_stripe_account(self, api_key: str) -> None:
        """An account at Stripe with this key."""
        self.stripe.open_account(api_key)

    # ------------------------------------------------------------ running

    def _found_defect(self, error: BaseException) -> None:
        """An exception that no fault explains ends the run, with its own trace."""
        defect = Violation(f"t={self.scheduler.now:.3f}: defect: {type(error).__name__}: {error}")
        defect.__cause__ = error
        self.scheduler.break_off(defect)

    def _found_line(self, line: str) -> None:
        """An error in the log that nothing explains ends the run.

        Not while the world comes to rest: its checks say more exactly what the line is about.
        """
        if not self.state.is_settling:
            self._found("log", line)

    def _gave_up(self, schedule: str, began: float) -> None:
        """A schedule may fail twice while things go wrong, and never else."""
        since = self.state.calm_since
        if since is not None and began >= since:
            self._found("schedule", f"{schedule} failed twice though nothing goes wrong")

    def _found(self, rule: str, detail: str) -> None:
        self.scheduler.break_off(self.violation(rule, detail))

    def violation(self, rule: str, detail: str) -> Violation:
        """What ends the run because of `rule`; noted at the present time."""
        self.watch.report(rule, detail)
        return Violation(str(self.watch.findings[-1]))

    def run(self, at_rest: Callable[[], None] = lambda: None) -> None:
        """Create the initial data, then run every client's plan.

        At each of the plan's pauses the clients wait, the world is brought to rest, and `at_rest`
        is called, which may raise Violation.
        """
        self.initial = Builder(self, self.seed).build()
        if Part.FAULTS in self.plan.parts:
            self._let_things_go_wrong()
        self.clients = [CLIENTS[each.kind](each, self, self.initial) for each in self.plan.clients]
        for client in self.clients:
            for number in range(client.workers):
                self.beside(partial(client.work, number), f"{client.plan.name}.{number}")
        if Part.DEPLOYMENTS in self.plan.parts:
            self.scheduler.spawn(self.deployer.work, "deployer")
        if Part.EDITS in self.plan.parts:
            self.scheduler.spawn(self.editor.work, "editor")
        self.scheduler.run(until=self._all_wait)
        while self.pauses.waiting:
            with paused(self):
                at_rest()
            self.pauses.go_on()
            self.scheduler.run(until=self._all_wait)

    def _all_wait(self) -> bool:
        """Whatever clients do has ended, or waits for the pause that is due."""
        return self._beside == self.pauses.waiting

    def settle(self) -> None:
        """Faults end, clients come back for their answers, until nothing is open."""
        self.state.is_over = True
        settle(self)

    def tamper(self) -> list[str]:
        """Edit the ledger by hand, at rest; returns the edits of the run that were not detected."""
        self.state.is_tampered = True
        return self.editor.tamper() if Part.EDITS in self.plan.parts else []

    def _let_things_go_wrong(self) -> None:
        self.state.calm_since = None
        dice = Random(f"{self.seed}-rates")
        self.scheduler.rates = FaultRates.swarm(dice)
        self.aws.rates = PartnerRates.aws(dice)
        self.line = PartnerRates.swarm(dice)
        self.endpoints.rates = ReceiverRates()
        self.impatience = self.scheduler.rates.impatient
