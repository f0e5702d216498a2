"""Whoever tries what must be refused: one unit too much, another's money, two at once.

A probe judges nothing itself. What it must not get away with is judged by the watch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final

from simulation.clients.client import Client
from simulation.clients.setup import CURRENCIES, Shop
from simulation.platform.http import EVERYTHING, OPERATOR, HttpResponse, token

_ATTEMPTS: Final = 4
"""One more than the failures that lock a customer."""
_FOLDED_AFTER: Final = 3.0
"""Seconds after which the change stream has mostly added a sale to its receivable."""
_LIMIT: Final = 3
"""Payments a minute of the merchants that a probe makes."""


class ProbesClient(Client):
    """What a merchant, or a person with its token, may not do."""

    workers = 2
    pause_seconds = 5.0

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self._merchants = 0
        return {
            self.reach_over: 14,
            self.move_what_is_not_its_own: 12,
            self.pass_the_floor: 12,
            self.mix_currencies: 8,
            self.refund_too_much: 14,
            self.capture_too_much: 12,
            self.end_a_hold_twice: 10,
            self.lock_out_by_transfers: 8,
            self.lock_out_by_payments: 10,
            self.close_what_is_in_use: 10,
            self.pay_out_too_much: 16,
            self.pass_the_limit: 5,
        }

    def choose_shop(self) -> Shop:  # noqa: D102
        return self.dice.choice(self.initial.of("sandbox"))

    def ask(self, *asked: Any, **more: Any) -> HttpResponse | None:
        """As every client does, but a step of several operations ends where they are used up."""
        return super().ask(*asked, **more) if self.left > 0 else None

    def _at_once(self, dice: Random, *requests: Callable[[Random], object]) -> None:
        """Requests side by side."""
        for number, request in enumerate(requests):
            work = partial(_send, request, Random(dice.random()))
            self.platform.beside(work, f"{self.plan.name} {number}")

    # ------------------------------------------------------------ another merchant's

    def reach_over(self, dice: Random) -> None:
        """Read, and work on, a payment or a customer of another merchant."""
        other = dice.choice([shop for shop in self.initial.shops if shop is not self.shop])
        seen = self.read(dice, "/v1/payments", {"limit": "10"}, other.credential)
        customer, account = dice.choice(other.customers), dice.choice(other.wallets["USD"])
        paths = [f"/v1/customers/{customer}", f"/v1/accounts/{account}"]
        if seen is not None and seen.status == 200 and seen.body["data"]:
            payment = dice.choice(seen.body["data"])["id"]
            paths.append(f"/v1/payments/{payment}")
            if dice.random() < 0.7:
                action = dice.choice(["refund", "capture", "cancel"])
                self.ask(dice, "POST", f"/v1/payments/{payment}/{action}", {})
        self.read(dice, dice.choice(paths))

    def move_what_is_not_its_own(self, dice: Random) -> None:
        """Another merchant's wallet, a receivable or a hot account as payer, with its own token."""
        other = dice.choice([shop for shop in self.initial.shops if shop is not self.shop])
        sources = [
            *other.wallets["USD"][:3],
            f"acc_receivable_{self.shop.id}_USD",
            self.shop.hot[1],
        ]
        self._move(dice, dice.choice(sources), self.shop.wallets["USD"][0], 1)

    # ------------------------------------------------------------ one too much

    def pass_the_floor(self, dice: Random) -> None:
        """One minor unit more than an account may spend, or exactly all of it."""
        source, target = dice.sample(self.shop.wallets["USD"], 2)
        seen = self.read(dice, f"/v1/accounts/{source}")
        if seen is None or seen.status != 200:
            return
        spendable = seen.body["available"]
        more = {"hold": True, "expires_in_seconds": 5} if dice.random() < 0.3 else {}
        if 0 <= spendable < 10**12:
            self._move(dice, source, target, spendable + 1, **more)
        if dice.random() < 0.2 and 0 < spendable < 10**12:
            self._move(dice, source, target, spendable)

    def mix_currencies(self, dice: Random) -> None:
        """Yen to an account of dollars, or the other way round."""
        yen, dollars = self.shop.wallets["JPY"][0], dice.choice(self.shop.wallets["USD"][:3])
        hot = (yen, self.shop.hot[0])
        source, target = dice.choice([(yen, dollars), (dollars, yen), hot, hot])
        body = {"from_account_id": source, "to_account_id": target, "amount": 5}
        body["currency"] = "JPY" if target == hot[1] else dice.choice(CURRENCIES[:2])
        self.operate(dice, "POST", "/v1/transfers", body)

    def refund_too_much(self, dice: Random) -> None:
        """Refunds of all that was captured, side by side, or one of a unit more."""
        payment = self._pay(dice, "automatic")
        if payment is None:
            return
        path, amount = f"/v1/payments/{payment['id']}/refund", payment["amount"]
        if dice.random() < 0.4:
            self.ask(dice, "POST", path, {"amount": amount + 1})
            return
        refund = partial(self.ask, method="POST", path=path, body={"amount": amount})
        self._at_once(dice, refund, refund)

    def capture_too_much(self, dice: Random) -> None:
        """Two captures side by side, or a capture and a cancellation; some of a unit more."""
        payment = self._pay(dice, "manual")
        if payment is None:
            return
        path, amount = f"/v1/payments/{payment['id']}", payment["amount"]
        body = {"amount": amount * 2 // 3, "final": dice.random() < 0.2}
        capture = partial(self.ask, method="POST", path=f"{path}/capture", body=body)
        cancel = partial(self.ask, method="POST", path=f"{path}/cancel", body={})
        throw = dice.random()
        if throw < 0.2:
            self.ask(dice, "POST", f"{path}/capture", {"amount": amount + 1})
        elif throw < 0.6:
            self._at_once(dice, capture, capture)
        else:
            self._at_once(dice, capture, cancel)

    def pay_out_too_much(self, dice: Random) -> None:
        """More than a receivable has, or nearly all of it twice while its sales are refunded."""
        sales = [self._pay(dice, "automatic", "KWD") for _ in range(2)]
        self.platform.sleep(_FOLDED_AFTER)
        source = f"acc_receivable_{self.shop.id}_KWD"
        seen = self.read(dice, f"/v1/accounts/{source}", credential=OPERATOR)
        if seen is None or seen.status != 200 or not 0 < seen.body["available"] < 10**11:
            return
        ends = {"from_account_id": source, "to_account_id": self.shop.wallets["KWD"][0]}
        body = {**ends, "currency": "KWD", "amount": seen.body["available"]}
        if dice.random() < 0.4:
            more = {**body, "amount": body["amount"] + dice.randrange(1, 1_000)}
            self.operate(dice, "POST", "/v1/transfers", more)
            return
        paths = [f"/v1/payments/{sale['id']}/refund" for sale in sales if sale is not None]
        refunds = [partial(self.ask, method="POST", path=path, body={}) for path in paths]
        throw = dice.random()
        if throw < 0.7:
            # Each of the two fits, and both with nothing else; or each leaves one unit to refunds.
            amount = body["amount"]
            body["amount"] = amount - 1 if throw < 0.35 else amount // 2
            one = {"amount": 1}
            refunds = [partial(self.ask, method="POST", path=path, body=one) for path in paths * 2]
        pay_out = partial(self.operate, method="POST", path="/v1/transfers", body=body)
        self._at_once(dice, pay_out, *refunds, pay_out)

    def _pay(
        self, dice: Random, capture_method: str, currency: str = "USD"
    ) -> Mapping[str, Any] | None:
        body = {
            "amount": dice.randrange(100, 10_000),
            "currency": currency,
            "payment_method": "tok_approved",
            "capture_method": capture_method,
        }
        made = self.ask(dice, "POST", "/v1/payments", body)
        return made.body if made is not None and made.status == 201 else None

    # ------------------------------------------------------------ twice, locked, in use

    def end_a_hold_twice(self, dice: Random) -> None:
        """Post and cancel a hold side by side, or post it twice."""
        source, target = dice.sample(self.shop.wallets["USD"], 2)
        # Another hold, whose money the second end could take.
        self._move(dice, source, target, 5, hold=True, expires_in_seconds=60)
        made = self._move(dice, source, target, 1, hold=True, expires_in_seconds=60)
        if made is None or made.status != 201:
            return
        path = f"/v1/transfers/{made.body['id']}"
        ends = [
            partial(self.ask, method="POST", path=f"{path}/{end}", body={})
            for end in dice.choice([("post", "cancel"), ("post", "post"), ("cancel", "cancel")])
        ]
        self._at_once(dice, *ends)

    def lock_out_by_transfers(self, dice: Random) -> None:
        """Transfers in a customer's name fail until its account is locked; then it has money."""
        source, target = self._open(dice), self.shop.wallets["USD"][0]
        customer = self._register(dice)
        if source is None or customer is None:
            return
        for _ in range(_ATTEMPTS):
            self._move(dice, source, target, 1, customer_id=customer)
        self._move(dice, target, source, 2)
        self._move(dice, source, target, 1)

    def lock_out_by_payments(self, dice: Random) -> None:
        """A card is declined until its customer is locked; then another one is tried."""
        customer = self._register(dice)
        if customer is None:
            return
        body = {"amount": 100, "currency": "USD", "customer_id": customer}
        for card in (*["tok_declined"] * _ATTEMPTS, "tok_approved"):
            self.ask(dice, "POST", "/v1/payments", {**body, "payment_method": card})

    def close_what_is_in_use(self, dice: Random) -> None:
        """Close an account with money on it, or with money on its way to it."""
        account, payer = self._open(dice), self.shop.wallets["USD"][0]
        if account is None:
            return
        more = {"hold": True, "expires_in_seconds": 600} if dice.random() < 0.5 else {}
        self._move(dice, payer, account, 1, **more)
        self.operate(dice, "POST", f"/v1/accounts/{account}/close", {}, for_merchant=False)

    def pass_the_limit(self, dice: Random) -> None:
        """A merchant that may take few payments a minute takes more of them, all at once."""
        self._merchants += 1
        body = {
            "name": f"{self.plan.name} {self._merchants}",
            "email": "probe@shops.example",
            "processor": "sandbox",
            "rate_limits": {"payments_per_minute": _LIMIT},
        }
        made = self.operate(dice, "POST", "/v1/merchants", body, for_merchant=False)
        if made is None or made.status != 201:
            return
        payment = {"amount": 1, "currency": "USD", "payment_method": "tok_approved"}
        owner = token(made.body["id"], *EVERYTHING, subject="probe")
        pay = partial(self.ask, method="POST", path="/v1/payments", body=payment, credential=owner)
        self._at_once(dice, *[pay] * (_LIMIT + 2))

    def _open(self, dice: Random) -> str | None:
        body = {"account_type": "wallet", "currency": "USD"}
        opened = self.ask(dice, "POST", "/v1/accounts", body)
        return opened.body["id"] if opened is not None and opened.status == 201 else None

    def _register(self, dice: Random) -> str | None:
        body = {"name": "Probe", "email": f"p{dice.randrange(10**6)}@mail.example"}
        made = self.ask(dice, "POST", "/v1/customers", body)
        return made.body["id"] if made is not None and made.status == 201 else None

    def _move(self, dice: Random, source: str, target: str, amount: int, **more: Any) -> Any:
        body = {"from_account_id": source, "to_account_id": target, "amount": amount}
        return self.ask(dice, "POST", "/v1/transfers", {**body, "currency": "USD", **more})


def _send(request: Callable[[Random], object], dice: Random) -> None:
    """What is done side by side is judged by what is committed and answered."""
    request(dice)
