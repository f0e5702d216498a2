"""Customers' banks: they dispute charges and send refunds back, long after both were done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from simulation.clients.client import Client, Latest
from simulation.outside import BEGINNING
from simulation.partners.stripe_account import StripeAccount
from simulation.partners.stripe_tokens import PENDING_REFUND, REFUND_FAILS

SANDBOX_FEE: int = 15


@dataclass
class Disputed:
    """A dispute that is not decided yet."""

    id: str
    payment_id: str
    amount: int
    currency: str


class BankClient(Client):
    """What banks do to the charges of one merchant."""

    workers = 1
    pause_seconds = 60.0

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.disputes = Latest(most=10)
        self._number = 0
        return {self.dispute: 10, self.decide: 7, self.return_refund: 7, self.finish_refund: 4}

    def dispute(self, dice: Random) -> None:
        """A bank takes a charge back, or a part of it."""
        self.follow_the_money(dice)
        if self._stripe is not None:
            self._dispute_at_stripe(self._stripe, dice)
            return
        listed = self.read(dice, "/v1/payments", {"limit": "20", "status": "succeeded"})
        if listed is None or listed.status != 200:
            return
        whole = [each for each in listed.body["data"] if _left(each) > 0]
        if whole:
            payment = dice.choice(whole)
            amount = dice.choice([_left(payment), dice.randrange(1, _left(payment) + 1)])
            self._number += 1
            dispute_id = f"dp-{self.plan.name}-{self._number}"
            disputed = Disputed(dispute_id, payment["id"], amount, payment["currency"])
            self._tell("dispute_opened", disputed)
            self.disputes.add(disputed)

    def decide(self, dice: Random) -> None:
        """A dispute is won by the merchant, or lost."""
        if not self.disputes.items:
            return
        disputed: Disputed = self.disputes.items.pop(dice.randrange(len(self.disputes.items)))
        won = dice.random() < 0.5
        self.act()
        if self._stripe is not None:
            self.platform.stripe.close_dispute(self._stripe, disputed.id, won=won)
        else:
            self._tell("dispute_won" if won else "dispute_lost", disputed)

    def return_refund(self, dice: Random) -> None:
        """The customer's bank does not take a refund."""
        if self._stripe is not None:
            self._fail_at_stripe(self._stripe, dice)
            return
        listed = self.read(dice, "/v1/transactions", {"limit": "20", "status": "succeeded"})
        if listed is None or listed.status != 200:
            return
        refunds = [each for each in listed.body["data"] if each["type"] == "refund"]
        if refunds:
            refund = dice.choice(refunds)
            self._event("refund_failed", reference=refund["id"], amount=refund["amount"])

    def finish_refund(self, dice: Random) -> None:
        """A refund that was pending at Stripe arrives, or does not."""
        account = self._stripe
        if account is None:
            return
        pending = [name for name, each in account.refunds.items() if each["status"] == "pending"]
        if pending:
            self.act()
            status = "succeeded" if dice.random() < 0.7 else "failed"
            self.platform.stripe.finish_refund(account, dice.choice(pending), status)

    # ------------------------------------------------------------ notifications

    @property
    def _stripe(self) -> StripeAccount | None:
        return self.platform.stripe.accounts.get(self.shop.processor_key)

    def _tell(self, kind: str, disputed: Disputed) -> None:
        self._event(
            kind,
            dispute_id=disputed.id,
            reference=disputed.payment_id,
            amount=disputed.amount,
            currency=disputed.currency,
            fee=SANDBOX_FEE,
        )

    def _event(self, kind: str, **about: Any) -> None:
        """The sandbox learns of an event by its own notification, so it has to be sent."""
        self.act()
        self._number += 1
        created = int(BEGINNING.timestamp() + self.platform.acquirer.now())
        event = {"id": f"evt-{self.plan.name}-{self._number}", "type": kind, "created": created}
        self.platform.notifier.tell(self.shop, {**event, **about}, always=True)

    def _dispute_at_stripe(self, account: StripeAccount, dice: Random) -> None:
        server = self.platform.stripe
        self.act()
        charged = [
            intent
            for intent in list(account.intents.values())[-30:]
            if intent["amount_received"] and server.refundable(account, intent) > 0
        ]
        if charged:
            intent = dice.choice(charged)
            most = server.refundable(account, intent)
            amount = dice.choice([most, dice.randrange(1, most + 1)])
            dispute_id = server.open_dispute(account, intent["id"], amount)
            self.disputes.add(Disputed(dispute_id, "", amount, intent["currency"]))

    def _fail_at_stripe(self, account: StripeAccount, dice: Random) -> None:
        self.act()
        failing = [
            name
            for name, refund in account.refunds.items()
            if refund["status"] == "succeeded"
            and account.intents[refund["payment_intent"]]["payment_method"]
            in (REFUND_FAILS, PENDING_REFUND)
        ]
        if failing:
            self.platform.stripe.finish_refund(account, dice.choice(failing), "failed")


def _left(payment: Mapping[str, Any]) -> int:
    return int(payment["amount_captured"] - payment["amount_refunded"])
