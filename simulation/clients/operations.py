"""Operators and merchants' administrators: profiles, secrets, API keys, webhooks, audit, alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from runtime.core.timestamps import to_timestamp
from runtime.http.authorizer_context import Context
from simulation.clients.client import Client, Latest
from simulation.outside import BEGINNING
from simulation.partners.receivers import Endpoints
from simulation.partners.stripe_account import StripeAccount
from simulation.partners.stripe_tokens import NEVER_HEARD
from simulation.platform.http import EVERYTHING, OPERATOR, token

ENDPOINTS: Final = "/v1/webhook-endpoints"
SOME: tuple[str, ...] = ("payments", "reports", "customers", "transfers")
NO_EVENT: Final = "pev_01KKNS5TM4YPCVMFVNE4BR1BWH"
CHARGES_AT_ONCE: Final = 3
MOST_ENDPOINTS: Final = 6
"""Webhook endpoints of its own that a client remembers."""
MOST_TRIES: Final = 4
"""To move to another account, which is refused while payments are open at the old one."""


class OperationsClient(Client):
    """What happens beside the money."""

    workers = 2
    pause_seconds = 10.0
    has_moved: bool = False
    """Whether it has begun with `move_to_another_account`, which takes many requests."""

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.keys = Latest(most=4)
        self.entities = Latest(most=20)
        self.endpoints = Latest(most=MOST_ENDPOINTS)
        return {
            self.change_merchant: 10,
            self.rotate_secret: 3,
            self.make_key: 8,
            self.use_key: 14,
            self.revoke_key: 5,
            self.look_at_webhooks: 12,
            self.redeliver: 8,
            self.look_at_endpoints: 3,
            self.make_endpoint: 3,
            self.change_endpoint: 2,
            self.use_endpoint: 6,
            self.delete_endpoint: 2,
            self.verify_audit: 14,
            self.look_around: 12,
            self.apply_events: 4,
            self.shut_and_open: 8,
            self.move_to_another_account: 10,
            self.look_at_public_pages: 2,
            self.repeat: 4,
        }

    # ------------------------------------------------------------ the merchant

    def change_merchant(self, dice: Random) -> None:
        """Another name, limit or number of index buckets, for the version that was read."""
        path = f"/v1/merchants/{self.shop.id}"
        seen = self.read(dice, path)
        if seen is None or seen.status != 200 or self.left <= 0:
            return
        version = seen.body["version"]
        if dice.random() < 0.4:
            changes: list[dict[str, Any]] = [
                {"index_buckets": min(4 * seen.body["index_buckets"], 24)},
                {"rate_limits": {"payments_per_minute": dice.choice([30, 60, 1_000])}},
                {"reconciliation": {"tolerance_minor": dice.choice([0, 2])}},
            ]
            body = {**dice.choice(changes), "version": version}
            self.ask(dice, "PATCH", path, body, credential=OPERATOR)
        else:
            own: list[dict[str, Any]] = [
                {"name": f"{self.shop.name} {dice.randrange(100)}"},
                {"webhook_url": Endpoints.url_of(self.shop.name)},
            ]
            self.ask(dice, "PATCH", path, {**dice.choice(own), "version": version})

    def rotate_secret(self, dice: Random) -> None:
        """A new webhook secret; the old one also signs for a day."""
        path = f"/v1/merchants/{self.shop.id}/rotate-webhook-secret"
        self.ask(dice, "POST", path, {"revoke_old": dice.random() < 0.5})

    # ------------------------------------------------------------ accounts at Stripe

    def move_to_another_account(self, dice: Random) -> None:
        """A new merchant sells, moves to another account, and sells on; then a sale is disputed.

        Its first account is never used, so that its keys can be deleted at once.
        """
        if self.has_moved:
            return
        self.has_moved = True
        name, stripe = f"{self.plan.name}-moves", self.platform.stripe
        keys = f"sk_test_{name.replace('-', '_')}"
        unused, old, new = (stripe.open_account(f"{keys}_{number}") for number in range(3))
        body = {"name": name, "email": f"{name}@shops.example", "processor": "stripe"}
        body |= _with_key(unused)
        made = self.ask(dice, "POST", "/v1/merchants", body, credential=OPERATOR)
        if made is None or made.status != 201:
            return
        path = f"/v1/merchants/{made.body['id']}"
        who = token(made.body["id"], *EVERYTHING, subject=f"user-of-{name}")
        if self._use_account(dice, path, old):
            account = f"{path}/processor-accounts/{unused.id}"
            self.ask(dice, "DELETE", account, credential=OPERATOR)
        self._charge_at_once(dice, who, "pm_card_visa")
        for _ in range(MOST_TRIES):
            self.platform.sleep(dice.uniform(1.0, 3.0))
            if self._use_account(dice, path, new):
                break
        # Environments that remember the merchant as it was send these to the old account.
        self._charge_at_once(dice, who, NEVER_HEARD)
        charged = [each for each in old.intents.values() if each["status"] == "succeeded"]
        if charged:
            self.act()
            intent = dice.choice(charged)
            stripe.open_dispute(old, intent["id"], intent["amount"])

    def _use_account(self, dice: Random, path: str, account: StripeAccount) -> bool:
        """Have the merchant send its payments to an account; whether it does."""
        seen = self.read(dice, path, credential=OPERATOR)
        if seen is None or seen.status != 200:
            return False
        body = {"version": seen.body["version"], **_with_key(account)}
        patched = self.ask(dice, "PATCH", path, body, credential=OPERATOR)
        return patched is not None and patched.status == 200

    def _charge_at_once(self, dice: Random, who: Context, method: str) -> None:
        """Several charges that begin within a second."""
        body = {"amount": dice.randrange(100, 10**6), "currency": "USD", "payment_method": method}

        def charge(own: Random) -> None:
            self.platform.sleep(own.random())
            self.ask(own, "POST", "/v1/payments", body, credential=who)

        for number in range(CHARGES_AT_ONCE):
            own = Random(dice.random())
            self.platform.beside(partial(charge, own), f"{self.plan.name} charge {number}")

    # ------------------------------------------------------------ API keys

    def make_key(self, dice: Random) -> None:
        """A key for a machine client."""
        body = {"name": "machine", "permissions": dice.sample(SOME, 2)}
        made = self.ask(dice, "POST", "/v1/api-keys", body)
        if made is not None and made.status == 201:
            self.keys.add((made.body["id"], made.body["secret"]))

    def use_key(self, dice: Random) -> None:
        """A request with a key, or with one that is none."""
        secret = f"sk_{dice.randrange(10**30):030d}"
        if self.keys and dice.random() < 0.9:
            secret = self.keys.one(dice)[1]
        self.ask(dice, "GET", "/v1/payments", query={"limit": "1"}, api_key=secret)

    def revoke_key(self, dice: Random) -> None:
        """A key is revoked, and used no more after the gateway has forgotten it."""
        if self.keys:
            self.ask(dice, "POST", f"/v1/api-keys/{self.keys.one(dice)[0]}/revoke", {})

    # ------------------------------------------------------------ webhooks

    def look_at_webhooks(self, dice: Random) -> None:
        """The list, and one of it."""
        listed = self.read(dice, "/v1/webhooks", {"limit": "10"})
        if listed is not None and listed.status == 200 and listed.body["data"] and self.left > 0:
            self.read(dice, f"/v1/webhooks/{dice.choice(listed.body['data'])['id']}")

    def redeliver(self, dice: Random) -> None:
        """A webhook once more."""
        query = {"limit": "10"}
        if dice.random() < 0.5:
            query["status"] = dice.choice(["failed", "delivered", "expired"])
        listed = self.read(dice, "/v1/webhooks", query)
        if listed is not None and listed.status == 200 and listed.body["data"] and self.left > 0:
            webhook = dice.choice(listed.body["data"])["id"]
            self.ask(dice, "POST", f"/v1/webhooks/{webhook}/redeliver", {})

    # ------------------------------------------------------------ webhook endpoints

    def look_at_endpoints(self, dice: Random) -> None:
        """The list, and one of it."""
        listed = self.read(dice, ENDPOINTS, {"limit": "10"})
        if listed is not None and listed.status == 200 and listed.body["data"] and self.left > 0:
            self.read(dice, f"{ENDPOINTS}/{dice.choice(listed.body['data'])['id']}")

    def make_endpoint(self, dice: Random) -> None:
        """One more, for some events or for all."""
        chosen: list[dict[str, Any]] = [
            {},
            {"events": ["payment.succeeded", "refund.succeeded"]},
            {"events": ["transfer.processed"], "description": "transfers"},
        ]
        url = Endpoints.url_of(f"{self.shop.name}-{dice.randrange(10**6)}")
        made = self.ask(dice, "POST", ENDPOINTS, {"url": url, **dice.choice(chosen)})
        if made is not None and made.status == 201:
            self.endpoints.add((made.body["id"], self.shop.credential))

    def change_endpoint(self, dice: Random) -> None:
        """Another filter, or other words, for the version that was read; or off, or on again."""
        if not self.endpoints:
            return
        endpoint, who = self.endpoints.one(dice)
        path = f"{ENDPOINTS}/{endpoint}"
        seen = self.read(dice, path, credential=who)
        if seen is None or seen.status != 200 or self.left <= 0:
            return
        changes: list[dict[str, Any]] = [
            {"description": f"endpoint {dice.randrange(100)}"},
            {"events": None},
            {"events": ["payment.failed"]},
            {"status": "disabled"},
            {"status": "enabled"},
        ]
        body = {**dice.choice(changes), "version": seen.body["version"]}
        self.ask(dice, "PATCH", path, body, credential=who)

    def use_endpoint(self, dice: Random) -> None:
        """One of the merchant's is tested, recovered, or given another secret."""
        listed = self.read(dice, ENDPOINTS, {"limit": "20"})
        if listed is None or listed.status != 200 or not listed.body["data"] or self.left <= 0:
            return
        path = f"{ENDPOINTS}/{dice.choice(listed.body['data'])['id']}"
        actions: list[tuple[str, dict[str, Any]]] = [
            ("test", {}),
            ("recover", {"since": to_timestamp(BEGINNING)}),
            ("rotate-secret", {"revoke_old": dice.random() < 0.5}),
        ]
        action, body = dice.choice(actions)
        self.ask(dice, "POST", f"{path}/{action}", body)

    def delete_endpoint(self, dice: Random) -> None:
        """One of those that it has made."""
        if self.endpoints:
            endpoint, who = self.endpoints.one(dice)
            self.ask(dice, "DELETE", f"{ENDPOINTS}/{endpoint}", credential=who)

    # ------------------------------------------------------------ looking

    def verify_audit(self, dice: Random) -> None:
        """The chain of an entity, and whether it holds."""
        if dice.random() < 0.3:
            listed = self.read(dice, "/v1/payments", {"limit": "10"})
            if listed is not None and listed.status == 200:
                for document in listed.body["data"]:
                    self.entities.add(document["id"])
            return
        known = [self.entities.one(dice)] if self.entities else []
        entity = dice.choice([*known, *self.shop.wallets["USD"]])
        if dice.random() < 0.5:
            self.read(dice, "/v1/audit", {"entity_id": entity, "limit": "10"})
            return
        answer = self.read(dice, f"/v1/audit/{entity}/verify")
        if answer is not None and answer.status == 200:
            self.initial.verdicts.append((entity, answer.body))

    def look_around(self, dice: Random) -> None:
        """Lists of all kinds."""
        lists: list[tuple[str, bool]] = [
            ("/v1/alerts", False),
            ("/v1/api-keys", False),
            ("/v1/idempotency-keys", False),
            ("/v1/merchants", True),
            ("/v1/alerts", True),
            ("/v1/processor-events", True),
            (f"/v1/merchants/{self.shop.id}/processor-accounts", True),
        ]
        path, for_operator = dice.choice(lists)
        who = OPERATOR if for_operator else None
        limited = {} if path.endswith("processor-accounts") else {"limit": "5"}
        self.read(dice, path, limited, who)

    def look_at_public_pages(self, dice: Random) -> None:
        """What needs no token."""
        page = dice.choice(["/v1/health", "/v1/openapi.json", "/v1/docs", "/v1/docs/errors"])
        self.ask(dice, "GET", page, credential=None)

    def apply_events(self, dice: Random) -> None:
        """What a processor said and could not be applied is applied again, or what is not there."""
        listed = self.read(dice, "/v1/processor-events", {"limit": "5"}, OPERATOR)
        if listed is not None and listed.status == 200 and self.left > 0:
            kept = [each["id"] for each in listed.body["data"]]
            event = dice.choice(kept or [NO_EVENT])
            path = f"/v1/processor-events/{event}/apply"
            self.operate(dice, "POST", path, {}, for_merchant=False)

    def shut_and_open(self, dice: Random) -> None:
        """An account that everybody uses takes no transfers for a moment."""
        account = dice.choice(self.shop.wallets["USD"])
        for action in ("deactivate", "activate"):
            path = f"/v1/accounts/{account}/{action}"
            self.operate(dice, "POST", path, {}, for_merchant=False)
            self.platform.sleep(dice.random() * 3.0)


def _with_key(account: StripeAccount) -> dict[str, Any]:
    secret = f"whsec_{account.api_key}"
    return {"processor_config": {"api_key": account.api_key, "webhook_secret": secret}}
