"""Finance departments: settlement files, exceptions and decisions, exports, reports, statements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from simulation.clients.client import Client, Latest
from simulation.partners.acquirer import Payout
from simulation.platform.http import OPERATOR

KINDS: tuple[str, ...] = (
    "payments",
    "transactions",
    "transfers",
    "entries",
    "audit",
    "settlement_lines",
)
_WRONG_AGAIN: Final = 0.3
"""How many corrected reports have errors of their own: a line that was right is not any more."""


class FinanceClient(Client):
    """One person, who uploads what the processor reports and reads what became of it."""

    workers = 1
    pause_seconds = 30.0

    def steps(self) -> Mapping[Callable[[Random], None], int]:  # noqa: D102
        self.payouts: list[Payout] = []
        self.exports = Latest(most=5)
        return {
            self.upload: 22,
            self.correct: 8,
            self.read_settlements: 14,
            self.decide: 18,
            self.export: 10,
            self.fetch_export: 10,
            self.read_books: 12,
            self.repeat: 4,
        }

    # ------------------------------------------------------------ settlement files

    def upload(self, dice: Random) -> None:
        """The report on a new payout; most have errors."""
        self.follow_the_money(dice)
        payout = self.platform.acquirer.pay_out(self.shop, dice)
        if payout is None:
            self.read(dice, "/v1/settlement-files", {"limit": "5"})
            return
        self.payouts.append(payout)
        if dice.random() < 0.4:
            self._put(payout, self.platform.acquirer.report(payout), dice)
        else:
            self._put(payout, self.platform.acquirer.report(payout, dice), dice)

    def correct(self, dice: Random) -> None:
        """A report once more: right this time, or the very same again, or with other errors."""
        if self.payouts:
            payout = dice.choice(self.payouts)
            errors = dice if dice.random() < _WRONG_AGAIN else None
            self._put(payout, self.platform.acquirer.report(payout, errors), dice)

    def _put(self, payout: Payout, body: bytes, dice: Random) -> None:
        request: dict[str, Any] = {"name": payout.file_name}
        if dice.random() < 0.5:
            request["sha256"] = hashlib.sha256(body).hexdigest()
        announced = self.ask(dice, "POST", "/v1/settlement-files", request)
        if announced is not None and announced.status == 201 and dice.random() < 0.95:
            self.platform.follow(announced.body["upload_url"], body)

    def read_settlements(self, dice: Random) -> None:
        """Files, settlements, lines, a report."""
        query = {"limit": "10"}
        if dice.random() < 0.4:
            files = self.read(dice, "/v1/settlement-files", query)
            if files is not None and files.status == 200 and files.body["data"] and self.left > 0:
                self.read(dice, f"/v1/settlement-files/{dice.choice(files.body['data'])['id']}")
            return
        listed = self.read(dice, "/v1/settlements", query)
        if listed is not None and listed.status == 200 and listed.body["data"] and self.left > 0:
            settlement = dice.choice(listed.body["data"])["id"]
            path = f"/v1/settlements/{settlement}{dice.choice(['', '/lines', '/report'])}"
            self.read(dice, path)

    def decide(self, dice: Random) -> None:
        """Something is done about an open exception."""
        listed = self.read(dice, "/v1/settlement-lines", {"limit": "10"})
        if listed is None or listed.status != 200 or not listed.body["data"] or self.left <= 0:
            return
        line = dice.choice(listed.body["data"])
        possible = [each for each in line["actions"] if each != "link"]
        if not possible or line["settlement_id"] is None:
            return
        action = "ignore" if "ignore" in possible and dice.random() < 0.5 else dice.choice(possible)
        path = f"/v1/settlement-lines/{line['settlement_id']}/{line['line']}/resolve"
        body = {"action": action, "note": "decided"}
        throw = dice.random()
        if throw < 0.2:
            self._decide_about_all(dice, listed.body["data"])
        elif throw < 0.4:
            self.operate(dice, "POST", path, body)
        else:
            self.ask(dice, "POST", path, body)
        if dice.random() < 0.4 and self.left > 0:
            self.ask(dice, "POST", path, {"action": "undo", "note": "after all not"})

    def _decide_about_all(self, dice: Random, lines: list[dict[str, Any]]) -> None:
        """Decisions about several lines in one request."""
        decisions = [
            {
                "settlement_id": line["settlement_id"],
                "line": line["line"],
                "action": dice.choice([each for each in line["actions"] if each != "link"]),
                "note": "decided together",
            }
            for line in lines
            if line["settlement_id"] is not None and set(line["actions"]) - {"link"}
        ]
        if decisions:
            self.ask(dice, "POST", "/v1/settlement-lines/resolve", {"lines": decisions})

    # ------------------------------------------------------------ exports and books

    def export(self, dice: Random) -> None:
        """The rows of a list, as a file."""
        body: dict[str, Any] = {"kind": dice.choice(KINDS)}
        if body["kind"] == "entries":
            body["format"] = dice.choice(["csv", "jsonl", "beancount"])
        elif dice.random() < 0.3:
            body["format"] = "jsonl"
            if body["kind"] == "payments":
                body["reference"] = "order 1"
        if body["kind"] == "audit":
            body["entity_id"] = self.shop.id
        asked = self.ask(dice, "POST", "/v1/exports", body)
        if asked is not None and asked.status == 202:
            self.exports.add(asked.body["id"])

    def fetch_export(self, dice: Random) -> None:
        """An export, and its file once it is there."""
        if not self.exports:
            self.read(dice, "/v1/exports", {"limit": "5"})
            return
        found = self.read(dice, f"/v1/exports/{self.exports.one(dice)}")
        if found is not None and found.status == 200 and found.body["result_url"]:
            body = self.platform.follow(found.body["result_url"])
            if body is not None:
                reported = found.body["sha256"]
                assert hashlib.sha256(body).hexdigest() == reported, f"{found.body} is another file"

    def read_books(self, dice: Random) -> None:
        """Summaries, statements, balances of the past, the last ledger verification."""
        account = dice.choice([*self.shop.wallets["USD"], *self.shop.hot])
        lists: list[tuple[str, dict[str, str]]] = [
            ("/v1/payments/summary", {}),
            ("/v1/payments/summary", {"interval": "day"}),
            (f"/v1/accounts/{account}/entries", {"limit": "20"}),
            (f"/v1/accounts/{account}/balance", {"at": "2026-03-14T09:00:30Z"}),
            ("/v1/exports", {"limit": "5"}),
        ]
        if dice.random() < 0.2:
            path = dice.choice(["/v1/proof", "/v1/operations"])
            self.read(dice, path, credential=OPERATOR)
            return
        path, query = dice.choice(lists)
        self.read(dice, path, query)
