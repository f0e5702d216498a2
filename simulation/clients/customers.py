"""Merchants that keep customers: registered, changed, charged by stored methods, locked, erased."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from simulation.clients.client import Client, Latest
from simulation.partners.stripe_tokens import APPROVED, DECLINED

FEW: int = 6
"""Customers that one client works on at a time, so that its workers meet on them."""


class CustomersClient(Client):
    """Customers of one merchant, and their payment methods."""

    workers = 3
    pause_seconds = 1.0

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.customers = Latest(most=FEW)
        self.methods: dict[str, list[str]] = {}
        return {
            self.register: 16,
            self.change: 12,
            self.add_method: 20,
            self.remove_method: 4,
            self.charge: 20,
            self.look: 8,
            self.find: 4,
            self.unlock: 4,
            self.erase: 6,
            self.repeat: 6,
        }

    def register(self, dice: Random) -> None:
        """A new customer."""
        number = dice.randrange(10**6)
        body: dict[str, Any] = {"name": f"Customer {number}", "email": f"c{number}@mail.example"}
        if dice.random() < 0.3:
            body |= {"phone": "+44 20 7946 0000", "metadata": {"tier": "gold"}}
        made = self.ask(dice, "POST", "/v1/customers", body)
        if made is not None and made.status == 201:
            self.customers.add(made.body["id"])

    def change(self, dice: Random) -> None:
        """Another name or address; some changes are for a version that is gone."""
        if not self.customers:
            return
        number = dice.randrange(10**6)
        changes: list[dict[str, Any]] = [
            {"name": f"Other {number}"},
            {"email": f"o{number}@mail.example"},
            {"phone": None, "version": dice.randrange(1, 6)},
            {"metadata": {"tier": "silver"}, "version": 1},
        ]
        path = f"/v1/customers/{self.customers.one(dice)}"
        self.ask(dice, "PATCH", path, dice.choice(changes))

    def add_method(self, dice: Random) -> None:
        """A way to pay."""
        if not self.customers:
            return
        customer = self.customers.one(dice)
        body = {
            "type": "card",
            "token": self._token(dice),
            "last4": f"{dice.randrange(10**4):04d}",
            "brand": "visa",
            "is_default": dice.random() < 0.3,
        }
        made = self.ask(dice, "POST", f"/v1/customers/{customer}/payment-methods", body)
        if made is not None and made.status == 201:
            self.methods.setdefault(customer, []).append(made.body["id"])

    def _token(self, dice: Random) -> str:
        if self.shop.processor == "stripe":
            return dice.choice([*APPROVED, *APPROVED, *DECLINED])
        return dice.choice(["tok_approved", "tok_approved", "tok_declined", "tok_timeout"])

    def remove_method(self, dice: Random) -> None:
        """One way to pay less."""
        customer, method = self._method(dice)
        if method is not None:
            self.ask(dice, "DELETE", f"/v1/customers/{customer}/payment-methods/{method}")

    def charge(self, dice: Random) -> None:
        """A payment by a stored method, or by the customer's default one, if it has one."""
        customer, method = self._method(dice)
        if method is not None:
            amount = dice.randrange(1, 10**5)
            body = {"amount": amount, "currency": "USD", "customer_id": customer}
            if amount % 3:
                body["payment_method"] = method
            self.ask(dice, "POST", "/v1/payments", body)

    def _method(self, dice: Random) -> tuple[str | None, str | None]:
        known = [each for each in self.customers.items if self.methods.get(each)]
        if not known:
            return None, None
        customer = dice.choice(known)
        return customer, dice.choice(self.methods[customer])

    def look(self, dice: Random) -> None:
        """Read a customer."""
        if self.customers:
            self.read(dice, f"/v1/customers/{self.customers.one(dice)}")

    def find(self, dice: Random) -> None:
        """List customers, or look for an address."""
        query = {"limit": "5"}
        if dice.random() < 0.5:
            query["email"] = f"c{dice.randrange(10**6)}@mail.example"
        self.read(dice, "/v1/customers", query)

    def unlock(self, dice: Random) -> None:
        """An operator ends a lock, or the merchant itself."""
        customer = dice.choice([*self.customers.items, *self.shop.customers])
        path = f"/v1/customers/{customer}/unlock"
        if customer in self.shop.customers:
            self.ask(dice, "POST", path, {})
        else:
            self.operate(dice, "POST", path, {}, for_merchant=False)

    def erase(self, dice: Random) -> None:
        """A customer asks for erasure, perhaps during another operation."""
        if self.customers:
            self.ask(dice, "DELETE", f"/v1/customers/{self.customers.one(dice)}")
