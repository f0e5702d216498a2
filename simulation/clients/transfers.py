"""Merchants that keep accounts: transfers at once and held, hot accounts, payouts, statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from runtime.ledger.rules import receivable_account
from simulation.clients.client import Client, Latest
from simulation.clients.setup import CURRENCIES
from simulation.platform.http import OPERATOR

Legs = list[dict[str, Any]]


class TransfersClient(Client):
    """Transfers of one merchant, half of them through its hot account."""

    workers = 3
    pause_seconds = 1.0

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.holds = Latest()
        self.accounts = Latest()
        return {
            self.move: 34,
            self.hold: 14,
            self.end_hold: 16,
            self.pay_out: 8,
            self.open_account: 3,
            self.change_account: 3,
            self.look: 9,
            self.look_around: 4,
            self.repeat: 7,
            self.send_nonsense: 2,
        }

    # ------------------------------------------------------------ money

    def move(self, dice: Random) -> None:
        """A transfer at once."""
        more: dict[str, Any] = {}
        throw = dice.random()
        if throw < 0.06:
            more["expand"] = ["balances_after"]
        elif throw < 0.1:
            more["dry_run"] = True
        elif throw < 0.25:
            more["customer_id"] = dice.choice(self.shop.customers)
        self._transfer(dice, more)

    def hold(self, dice: Random) -> None:
        """Set money aside for some seconds, a minute, or a day."""
        more = {"hold": True, "expires_in_seconds": dice.choice([5, 60, 600, 86_400])}
        answer = self._transfer(dice, more)
        if answer is not None and answer.status == 201:
            self._remember(answer.body)

    def _remember(self, hold: dict[str, Any]) -> None:
        """A hold to end later, and who does: only operators where a hot account is touched."""
        touches_hot = self._touches_hot(hold["legs"])
        self.holds.add((hold["id"], hold["amount"], len(hold["legs"]), touches_hot))

    def _touches_hot(self, body: Any) -> bool:
        hot = (*self.shop.hot, *(receivable_account(self.shop.id, each) for each in CURRENCIES))
        return any(account in str(body) for account in hot)

    def _transfer(self, dice: Random, more: dict[str, Any]) -> Any:
        body: dict[str, Any] = {"currency": CURRENCIES[0], **more}
        throw = dice.random()
        if throw < 0.05:
            source, target = self.shop.wallets["JPY"]
            amount = dice.randrange(1, 3_000)
            body |= {"from_account_id": source, "to_account_id": target, "amount": amount}
            body["currency"] = dice.choice(["JPY", "JPY", "USD"])
        elif throw < 0.2:
            body["legs"] = [self._leg(dice) for _ in range(dice.randrange(2, 6))]
        else:
            body |= self._leg(dice)
        return self._send(dice, "/v1/transfers", body, is_hot=self._touches_hot(body))

    def _send(
        self, dice: Random, path: str, body: dict[str, Any], *, is_hot: bool, tries: float = 0.02
    ) -> Any:
        """Only operators move money from or to hot accounts; how often the merchant `tries` to."""
        if dice.random() < tries or not is_hot:
            return self.ask(dice, "POST", path, body)
        return self.operate(dice, "POST", path, body)

    def _leg(self, dice: Random) -> dict[str, Any]:
        hot = self.shop.hot[0]
        own = self.accounts.items[-4:]
        everybody = [*self.shop.wallets[CURRENCIES[0]], *self.shop.hot, *own]
        source = dice.choice(everybody)
        target = hot if dice.random() < 0.4 and source != hot else source
        while target == source:
            target = dice.choice(everybody)
        amount = dice.choice([dice.randrange(1, 500), dice.randrange(1, 20_000)])
        return {"from_account_id": source, "to_account_id": target, "amount": amount}

    def end_hold(self, dice: Random) -> None:
        """Post a hold, or a part of it, or cancel it."""
        if not self.holds:
            return
        hold_id, amount, legs, is_hot = self.holds.one(dice)
        path = f"/v1/transfers/{hold_id}"
        if dice.random() < 0.45:
            self._send(dice, f"{path}/cancel", {}, is_hot=is_hot, tries=0.15)
            return
        part = dice.choice([None, None, amount, dice.randrange(1, amount + 3)])
        if legs > 1:
            part = dice.choice([None, amount])
        body = {} if part is None else {"amount": part}
        self._send(dice, f"{path}/post", body, is_hot=is_hot, tries=0.15)

    def pay_out(self, dice: Random) -> None:
        """What the merchant is owed, or a part of it, goes to its wallet."""
        currency = dice.choice(CURRENCIES)
        source = receivable_account(self.shop.id, currency)
        seen = self.read(dice, f"/v1/accounts/{source}", credential=OPERATOR)
        if seen is None or seen.status != 200 or seen.body["available"] < 2:
            return
        known = min(seen.body["available"], 10**12)
        amount = dice.choice([1, known, known, known // 2, dice.randrange(1, known)])
        target = self.shop.wallets[currency][-1]
        body = {
            "from_account_id": source,
            "to_account_id": target,
            "amount": amount,
            "currency": currency,
        }
        if dice.random() < 0.2:
            body |= {"hold": True, "expires_in_seconds": dice.choice([5, 60, 600])}
        paid = self.operate(dice, "POST", "/v1/transfers", body)
        if paid is not None and paid.status == 201 and "hold" in body:
            self._remember(paid.body)

    # ------------------------------------------------------------ accounts

    def open_account(self, dice: Random) -> None:
        """A new account of the merchant's."""
        body: dict[str, Any] = {
            "account_type": dice.choice(["wallet", "checking", "savings"]),
            "currency": CURRENCIES[0],
        }
        if dice.random() < 0.4:
            body["account_number"] = f"{dice.randrange(10**4):08d}"
        if dice.random() < 0.3:
            body["customer_id"] = dice.choice(self.shop.customers)
        opened = self.ask(dice, "POST", "/v1/accounts", body)
        if opened is not None and opened.status == 201:
            self.accounts.add(opened.body["id"])

    def change_account(self, dice: Random) -> None:
        """Close, deactivate or activate; a wallet that everybody uses is activated again."""
        if not self.accounts:
            return
        account = self.accounts.one(dice)
        action = dice.choice(["deactivate", "activate", "activate", "unlock", "close"])
        self.operate(dice, "POST", f"/v1/accounts/{account}/{action}", {}, for_merchant=False)

    # ------------------------------------------------------------ reading and mistakes

    def look(self, dice: Random) -> None:
        """An account, its statement, a hold."""
        account = dice.choice([*self.shop.wallets[CURRENCIES[0]], *self.shop.hot])
        if self.holds and dice.random() < 0.3:
            self.read(dice, f"/v1/transfers/{self.holds.one(dice)[0]}")
        elif dice.random() < 0.7:
            self.read(dice, f"/v1/accounts/{account}")
        else:
            self.read(dice, f"/v1/accounts/{account}/entries", {"limit": "10"})

    def look_around(self, dice: Random) -> None:
        """A list."""
        lists: list[tuple[str, dict[str, str]]] = [
            ("/v1/transfers", {"limit": "10"}),
            ("/v1/transfers", {"limit": "10", "status": "pending"}),
            ("/v1/accounts", {"limit": "10", "customer_id": self.shop.customers[0]}),
            ("/v1/accounts", {"limit": "10", "status": "active", "account_type": "wallet"}),
        ]
        path, query = dice.choice(lists)
        self.read(dice, path, query)

    def send_nonsense(self, dice: Random) -> None:
        """What is refused, some of it with a failed transfer left behind."""
        source, target = self.shop.wallets[CURRENCIES[0]][:2]
        good = {"from_account_id": source, "to_account_id": target, "currency": "USD"}
        mistakes: list[dict[str, Any]] = [
            {"amount": 0},
            {"amount": 10**12},
            {"amount": 1, "to_account_id": source},
            {"amount": 1, "to_account_id": "acc_01KKNS5TM4YPCVMFVNE4BR1BWH"},
            {"amount": 1, "currency": "KWD"},
        ]
        self.ask(dice, "POST", "/v1/transfers", {**good, **dice.choice(mistakes)})
