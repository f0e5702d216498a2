"""A platform that works at random through its real handlers, and its change streams.

Requests go through the functions as deployed, some from clients whose connections
fail or die; the streams are the engine's own, and the projector is the deployed handler, which
dies, and whose batches are repeated and reordered by the poller.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from runtime.functions.composition.process_services import process_services
from runtime.functions.composition.projector import STREAMED
from runtime.functions.project import project_services
from runtime.settings import ProjectSettings
from runtime.webhooks.models import Webhook
from tests.support.engines.faults import Faults, ProcessKilled, seeded
from tests.support.engines.streams import STORMY, Record, SourceSettings, StreamPoller
from tests.support.http import OPERATOR, Answered, token_of
from tests.support.iam_guard import restrict_to
from tests.support.stages.running_stage import Stage

FAULTS_OF_REQUESTS, DEATHS_OF_REQUESTS = 0.01, 0.004
FAULTS_OF_PROJECTOR, DEATHS_OF_PROJECTOR = 0.01, 0.003
TOKENS = (
    *("tok_approved",) * 6,
    "tok_declined",
    "tok_insufficient_funds",
    "tok_timeout",
    "tok_timeout_not_charged",
    "tok_error",
    "tok_refund_fails",
)
BATCH = 60


@dataclass
class Shop:
    """A merchant and what it has created so far."""

    id: str
    version: int
    who: dict[str, str]
    payments: list[str] = field(default_factory=list)
    authorized: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)


class DerivedDataSimulation:
    """Some shops on one stage."""

    def __init__(self, stage: Stage, seed: str, shops: list[dict[str, Any]]) -> None:
        self.stage, self.seed = stage, seed
        self.dice = Random(f"{seed}-shops")
        self.shops = [Shop(s["id"], s["version"], token_of(s["id"], ALL_RIGHTS)) for s in shops]
        self.answers: Counter[str] = Counter()
        self.keys: list[tuple[str, str, dict[str, Any], dict[str, str], str]] = []
        self.deaths = 0
        self._request_plan = seeded(
            f"{seed}-requests", FAULTS_OF_REQUESTS, DEATHS_OF_REQUESTS, kill_anywhere=True
        )
        Faults(self._request_plan).attach(process_services().client)
        self._projector_plan = seeded(
            f"{seed}-projector", FAULTS_OF_PROJECTOR, DEATHS_OF_PROJECTOR, kill_anywhere=True
        )
        self.projector_faults = Faults(self.plan_of_projector)
        self.calm = False
        self._attach_projector()
        self.poller = StreamPoller(
            stage.aws_tables,
            [stage.tables[name] for name in STREAMED],
            self.project,
            seed=seed,
            faults=STORMY,
            settings=SourceSettings(batch_size=BATCH),
        )

    # ------------------------------------------------------------ the projector

    def plan_of_projector(self, operation: str, number: int) -> Any:
        return None if self.calm else self._projector_plan(operation, number)

    def _attach_projector(self) -> None:
        made = project_services()
        restrict_to(made.client, ProjectSettings.TABLE_USES, made.store.tables)
        self.projector_faults.attach(made.client)

    def project(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """The deployed handler; an environment that died is replaced by a new one."""
        module: Any = self.stage.api.modules["project"]
        try:
            answer: dict[str, Any] = module.handler(event, context)
        except ProcessKilled:
            self.deaths += 1
            project_services.cache_clear()
            self._attach_projector()
            raise
        return answer

    def come_to_rest(self) -> None:
        """Everything in the streams is derived, without faults of the connection, and once more."""
        self.calm = True
        self.poller.drain()

    @property
    def records(self) -> list[Record]:
        """All stream records, each once, in order for each item."""
        return [record for shard in self.poller.shards.values() for record in shard.records]

    # ------------------------------------------------------------ requests

    def run(self, operations: int) -> None:
        """This many requests, while the streams are processed."""
        for number in range(operations):
            self.one()
            if number % 7 == 0:
                self.poller.step()

    def one(self) -> None:
        """One request of any kind."""
        shop = self.dice.choice(self.shops)
        self.dice.choices(_KINDS, _WEIGHTS)[0](self, shop)

    def ask(
        self, shop: Shop, path: str, body: dict[str, Any], *, method: str = "POST", **more: Any
    ) -> Answered | None:
        """Send a request under a fresh key; None if the function dies of it."""
        key = uuid.UUID(int=self.dice.getrandbits(128)).hex
        self.keys.append((method, path, body, shop.who, key))
        return self._send(method, path, body, more.get("authorizer", shop.who), key)

    def ask_again(self, _: Shop) -> None:
        """Repeat an earlier request verbatim."""
        if self.keys:
            self._send(*self.dice.choice(self.keys))

    def _send(
        self, method: str, path: str, body: dict[str, Any], who: dict[str, str], key: str
    ) -> Answered | None:
        headers = {"idempotency-key": key}
        try:
            answer = self.stage.api(method, path, body, headers=headers, authorizer=who)
        except ProcessKilled:
            self.answers["died"] += 1
            return None
        self.answers[f"{answer.status}"] += 1
        return answer

    # ------------------------------------------------------------ kinds of requests

    def pay(self, shop: Shop) -> None:
        manual = self.dice.random() < 0.3
        body: dict[str, Any] = {
            "amount": self.dice.choice([500, 1_000, 20_000, 1_500_000]),
            "currency": self.dice.choice(["USD", "USD", "JPY", "KWD"]),
            "payment_method": self.dice.choice(TOKENS),
            "capture_method": "manual" if manual else "automatic",
        }
        if shop.customers and self.dice.random() < 0.5:
            body["customer_id"] = self.dice.choice(shop.customers)
        answer = self.ask(shop, "/v1/payments", body)
        if answer is not None and answer.status in (201, 202):
            (shop.authorized if manual else shop.payments).append(answer.body["id"])

    def capture(self, shop: Shop) -> None:
        if shop.authorized:
            payment = self.dice.choice(shop.authorized)
            body = self.dice.choice([{}, {"amount": 100, "final": False}, {"amount": 300}])
            self.ask(shop, f"/v1/payments/{payment}/capture", body)

    def cancel(self, shop: Shop) -> None:
        if shop.authorized:
            self.ask(shop, f"/v1/payments/{self.dice.choice(shop.authorized)}/cancel", {})

    def refund(self, shop: Shop) -> None:
        if shop.payments:
            payment = self.dice.choice(shop.payments)
            body = self.dice.choice([{}, {"amount": 100}, {"amount": 10**9}])
            self.ask(shop, f"/v1/payments/{payment}/refund", body)

    def open_account(self, shop: Shop) -> None:
        body = {
            "account_type": "wallet",
            "currency": "USD",
            "opening_balance": self.dice.choice([0, 5_000, 100_000]),
            "posting": self.dice.choice(["immediate", "immediate", "folded"]),
            "merchant_id": shop.id,
        }
        answer = self.ask(shop, "/v1/accounts", body, authorizer=OPERATOR)
        if answer is not None and answer.status == 201:
            shop.accounts.append(answer.body["id"])

    def transfer(self, shop: Shop) -> None:
        if len(shop.accounts) < 2:
            return self.open_account(shop)
        source, target = self.dice.sample(shop.accounts, 2)
        hold = self.dice.random() < 0.4
        body = {
            "from_account_id": source,
            "to_account_id": target,
            "amount": self.dice.choice([1, 50, 700, 10**9, 1_000_000]),
            "currency": "USD",
            "hold": hold,
            "merchant_id": shop.id,
        }
        if shop.customers and self.dice.random() < 0.2:
            body["customer_id"] = self.dice.choice(shop.customers)
        answer = self.ask(shop, "/v1/transfers", body, authorizer=OPERATOR)
        if hold and answer is not None and answer.status == 201:
            shop.holds.append(answer.body["id"])
        return None

    def resolve_hold(self, shop: Shop) -> None:
        if shop.holds:
            what = self.dice.choice(["post", "cancel"])
            body = {} if what == "cancel" else self.dice.choice([{}, {"amount": 1}])
            path = f"/v1/transfers/{self.dice.choice(shop.holds)}/{what}"
            self.ask(shop, path, body, authorizer=OPERATOR)

    def customer(self, shop: Shop) -> None:
        name = f"Customer {self.dice.randrange(10**6)}"
        body = {"name": name, "email": f"{name.replace(' ', '.')}@example.com"}
        answer = self.ask(shop, "/v1/customers", body)
        if answer is not None and answer.status == 201:
            shop.customers.append(answer.body["id"])

    def change_customer(self, shop: Shop) -> None:
        if not shop.customers:
            return
        customer = self.dice.choice(shop.customers)
        if self.dice.random() < 0.2:
            self._send("DELETE", f"/v1/customers/{customer}", {}, shop.who, "")
            shop.customers.remove(customer)
        elif self.dice.random() < 0.3:
            self._send("POST", f"/v1/customers/{customer}/unlock", {}, OPERATOR, "")
        else:
            body = {"name": f"Other {self.dice.randrange(10**6)}", "version": 1}
            self._send("PATCH", f"/v1/customers/{customer}", body, shop.who, "")

    def change_merchant(self, shop: Shop) -> None:
        body = {"name": f"Shop {self.dice.randrange(100)}", "version": shop.version}
        answer = self._send("PATCH", f"/v1/merchants/{shop.id}", body, shop.who, "")
        if answer is not None and answer.status == 200:
            shop.version = answer.body["version"]

    def change_account(self, shop: Shop) -> None:
        if shop.accounts:
            what = self.dice.choice(["deactivate", "activate", "activate", "unlock"])
            path = f"/v1/accounts/{self.dice.choice(shop.accounts)}/{what}"
            self._send("POST", path, {}, OPERATOR, "")

    def wrong(self, shop: Shop) -> None:
        """Requests that are refused before anything is written."""
        body = {"amount": -1, "currency": "XXX", "payment_method": "tok_approved"}
        self.ask(shop, "/v1/payments", body)

    def resolve(self, _: Shop) -> None:
        self.stage.api.resolve()

    # ------------------------------------------------------------ results

    def open_webhook(self, item: dict[str, Any]) -> Webhook:
        """A decrypted row of the webhooks table."""
        return project_services().store.codec.to_row(Webhook.table_schema, item, Webhook)

    def reported(self) -> str:
        """Figures of the run."""
        return json.dumps(
            {
                "answers": dict(sorted(self.answers.items())),
                "records": len(self.records),
                "deliveries": self.poller.deliveries,
                "stream faults": dict(Counter(self.poller.injected)),
                "projector faults": len(self.projector_faults.injected),
                "projector deaths": self.deaths,
            }
        )


ALL_RIGHTS = "payments refunds reports customers accounts transfers merchant"
_MIX = {
    DerivedDataSimulation.pay: 30,
    DerivedDataSimulation.capture: 8,
    DerivedDataSimulation.cancel: 3,
    DerivedDataSimulation.refund: 8,
    DerivedDataSimulation.open_account: 3,
    DerivedDataSimulation.transfer: 18,
    DerivedDataSimulation.resolve_hold: 8,
    DerivedDataSimulation.customer: 4,
    DerivedDataSimulation.change_customer: 4,
    DerivedDataSimulation.change_merchant: 1,
    DerivedDataSimulation.change_account: 2,
    DerivedDataSimulation.wrong: 3,
    DerivedDataSimulation.ask_again: 7,
    DerivedDataSimulation.resolve: 1,
}
_KINDS, _WEIGHTS = list(_MIX), list(_MIX.values())
