"""Merchants that take payments: charge, capture in parts, cancel, refund, read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar
from urllib.parse import urlsplit

from runtime.payments.processors.sandbox.connector import BEHAVIOURS
from simulation.clients.client import Client, Latest
from simulation.clients.setup import CURRENCIES, Shop
from simulation.outside import BEGINNING
from simulation.partners.stripe_tokens import (
    APPROVED,
    AUTHENTICATES,
    DECLINED,
    REFUND_FAILS_AT_ONCE,
)
from simulation.platform.http import HttpRequest, HttpResponse

HOT: int = 12
"""Latest payments on which most operations are asked for."""
REFERENCES: int = 3
"""References of a merchant's payments: so few that several have the same one."""


@dataclass(frozen=True)
class Paid:
    """A payment that a client has seen in an answer."""

    id: str
    amount: int
    is_manual: bool


class CardsClient(Client):
    """Payments of a merchant whose processor is the sandbox."""

    processor: ClassVar[str] = "sandbox"
    tokens: ClassVar[Sequence[str]] = (*BEHAVIOURS, *["tok_approved"] * len(BEHAVIOURS))
    unknown_token: ClassVar[str] = "tok_unknown"  # noqa: S105 - names no secret

    def choose_shop(self) -> Shop:  # noqa: D102
        return self.dice.choice(self.initial.of(self.processor))

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.payments, self.actions = Latest(most=HOT), Latest(most=HOT)
        return {
            self.pay: 36,
            self.act_as_customer: 8,
            self.capture: 16,
            self.refund: 14,
            self.cancel: 4,
            self.look: 8,
            self.look_around: 5,
            self.repeat: 6,
            self.reuse_key: 1,
            self.send_nonsense: 2,
        }

    # ------------------------------------------------------------ payments

    def pay(self, dice: Random) -> None:
        """Charge, or authorize."""
        manual = dice.random() < 0.45
        body: dict[str, Any] = {
            "amount": dice.choice([dice.randrange(1, 100), dice.randrange(1, 10**6), 10**9]),
            "currency": dice.choice(CURRENCIES),
            "payment_method": dice.choice(self.tokens),
            "capture_method": "manual" if manual else "automatic",
        }
        if dice.random() < 0.25:
            body["customer_id"] = dice.choice(self.shop.customers)
        if dice.random() < 0.1:
            number = dice.randrange(10**6)
            body |= {"description": "An order", "metadata": {"order": str(number)}}
            body["reference"] = f"order {number % REFERENCES}"
        self.learn(self.ask(dice, "POST", "/v1/payments", body))

    def learn(self, answer: HttpResponse | None) -> None:
        """A payment that something can be done about from now on."""
        if answer is not None and answer.status in (201, 202):
            document = answer.body
            manual = document["capture_method"] == "manual"
            self.payments.add(Paid(document["id"], document["amount"], manual))
            if document["status"] == "requires_action":
                self.actions.add(document)

    def act_as_customer(self, dice: Random) -> None:
        """A customer approves, fails, or does both at once; many never come."""
        if self.actions:
            document = self.actions.one(dice)
            first, second = dice.choice([True, False]), dice.choice([True, False])
            if dice.random() < 0.2:
                twin = Random(dice.random())
                self.platform.beside(
                    lambda: self.decide(document, twin, approves=second),
                    f"{self.plan.name} customer",
                )
            self.decide(document, dice, approves=first)

    def decide(self, document: dict[str, Any], dice: Random, *, approves: bool) -> None:
        """What the customer does on the sandbox's page."""
        path = urlsplit(document["next_action"]["url"]).path
        decision = "approve" if approves else "fail"
        self.act()
        page = HttpRequest(client=self.plan.name, method="GET", path=path, operation=self.done)
        self.send(page, dice)
        form = replace(
            page,
            method="POST",
            raw=f"decision={decision}".encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        self.send(form, dice)

    def capture(self, dice: Random) -> None:
        """Take what was authorized, or a part of it."""
        if self.payments:
            paid = self._one(dice, manual=0.95)
            body: dict[str, Any] = self._part(paid, dice)
            if dice.random() < 0.7:
                body["final"] = False
            self.ask(dice, "POST", f"/v1/payments/{paid.id}/capture", body)

    def refund(self, dice: Random) -> None:
        """Give some of a payment back."""
        if self.payments:
            paid = self._one(dice, manual=0.5)
            body = self._part(paid, dice)
            self.ask(dice, "POST", f"/v1/payments/{paid.id}/refund", body)

    def cancel(self, dice: Random) -> None:
        """Give an authorization back."""
        if self.payments:
            paid = self._one(dice, manual=0.95)
            self.ask(dice, "POST", f"/v1/payments/{paid.id}/cancel", {})

    def _one(self, dice: Random, *, manual: float) -> Paid:
        wanted = dice.random() < manual
        some = [paid for paid in self.payments.items if paid.is_manual is wanted]
        chosen: Paid = dice.choice(some or self.payments.items)
        return chosen

    @staticmethod
    def _part(paid: Paid, dice: Random) -> dict[str, Any]:
        if dice.random() < 0.15:
            return {}
        part = max(1, paid.amount // dice.choice([2, 3, 5, 10]))
        return {"amount": min(part + (dice.random() < 0.15) * paid.amount, 10**12)}

    # ------------------------------------------------------------ reading and mistakes

    def look(self, dice: Random) -> None:
        """Read a payment, and perhaps its timeline or one of its transactions."""
        if not self.payments:
            return
        path = f"/v1/payments/{self.payments.one(dice).id}"
        seen = self.read(dice, path)
        if seen is not None and seen.status == 200 and self.left > 0 and dice.random() < 0.3:
            transactions = seen.body["transactions"]
            if transactions:
                transaction = f"/v1/transactions/{dice.choice(transactions)['id']}"
                self.read(dice, dice.choice([transaction, f"{path}/timeline"]))

    def look_around(self, dice: Random) -> None:
        """A list, and what is new to us on it."""
        lists: list[tuple[str, dict[str, str]]] = [
            ("/v1/payments", {"limit": "10"}),
            ("/v1/payments", {"limit": "5", "status": "requires_capture"}),
            ("/v1/payments", {"limit": "5", "status": "processing"}),
            ("/v1/payments", {"limit": "2", "reference": "order 1"}),
            ("/v1/payments", {"limit": "2", "status": "failed", "currency": CURRENCIES[0]}),
            ("/v1/payments/summary", {}),
            ("/v1/transactions", {"limit": "10", "status": "succeeded"}),
            ("/v1/idempotency-keys", {"limit": "10"}),
        ]
        path, query = dice.choice(lists)
        answer = self.read(dice, path, query)
        if path == "/v1/payments" and answer is not None and answer.status == 200:
            for document in answer.body["data"][:3]:
                manual = document["capture_method"] == "manual"
                self.payments.add(Paid(document["id"], document["amount"], manual))

    def reuse_key(self, dice: Random) -> None:
        """Another request under a key that is taken: 422, whatever became of the first."""
        if self.sent:
            before = self.sent.one(dice)
            body = {"amount": 77, "currency": "USD", "payment_method": self.tokens[0]}
            self.ask(dice, "POST", before.path, body, headers=before.headers)

    def send_nonsense(self, dice: Random) -> None:
        """What is refused before anything is written."""
        good = {"amount": 100, "currency": "USD", "payment_method": self.tokens[0]}
        mistakes: list[dict[str, Any]] = [
            {"amount": -1},
            {"currency": "XXX"},
            {"payment_method": self.unknown_token},
            {"customer_id": "cus_01KKNS5TM4YPCVMFVNE4BR1BWH"},
            {"surprise": 1},
        ]
        self.ask(dice, "POST", "/v1/payments", {**good, **dice.choice(mistakes)})


class StripeClient(CardsClient):
    """Payments of a merchant whose processor is Stripe."""

    processor = "stripe"
    tokens = (*APPROVED, *APPROVED, *DECLINED, AUTHENTICATES)
    unknown_token = "pm_card_unknown"  # noqa: S105 - names no secret

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        return {**super().steps(), self.forge: 3, self.refund_in_vain: 3}

    def decide(self, document: dict[str, Any], dice: Random, *, approves: bool) -> None:
        """What the customer does at Stripe, with the page or the secret of the payment."""
        self.act()
        account = self.platform.stripe.accounts[self.shop.processor_key]
        for intent_id, intent in account.intents.items():
            if intent["client_secret"] == document["client_secret"]:
                self.platform.stripe.authenticate(account, intent_id, passes=approves)
                break

    def forge(self, dice: Random) -> None:
        """A forged, correctly signed event claims that a succeeded refund failed."""
        refunds = self.platform.stripe.accounts[self.shop.processor_key].refunds.values()
        succeeded = [each for each in refunds if each["status"] == "succeeded"]
        if succeeded:
            self.act()
            event = {
                "id": f"evt_forged_{self.plan.name}_{self.done}",
                "object": "event",
                "type": "refund.failed",
                "created": int(BEGINNING.timestamp() + self.platform.acquirer.now()),
                "data": {"object": {**dice.choice(succeeded), "status": "failed"}},
            }
            self.platform.notifier.tell(self.shop, event, always=True)

    def refund_in_vain(self, dice: Random) -> None:
        """A refund whose failure is announced before the request for it is answered."""
        amount = dice.randrange(100, 10**6)
        sale = {"amount": amount, "currency": "USD", "payment_method": REFUND_FAILS_AT_ONCE}
        paid = self.ask(dice, "POST", "/v1/payments", sale)
        if paid is not None and paid.status == 201 and self.left > 0:
            self.ask(dice, "POST", f"/v1/payments/{paid.body['id']}/refund", {})
