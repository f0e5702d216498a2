"""Checks after a load test: what the API answered must be what it now shows, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from operations.load.journal import KEY, RUN, Journal, Transfer
from operations.load.reader import Reader
from operations.load.requests import Operation, Payment
from operations.load.target import Target

READING_THREADS: Final = 8
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far this machine's clock may be ahead of the stage's."""


@dataclass(frozen=True)
class Check:
    """One check: how many facts it compared, and a line for each that does not hold."""

    name: str
    counted: int
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it found no problem."""
        return not self.problems


@dataclass
class Checks:
    """Compares the journal of a run with what the API shows after it."""

    journal: Journal
    target: Target
    reader: Reader
    begun: datetime
    _open_keys: frozenset[str] = field(init=False)
    _open_payments: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        still_open = self.journal.open_requests
        self._open_keys = frozenset(each.key for each in still_open if each.key is not None)
        self._open_payments = frozenset(
            each.payment.id for each in still_open if each.payment is not None
        )

    def all(self) -> list[Check]:
        """Every check that applies to the target."""
        journal = self.journal
        payments, rows = self._payments()
        checks = [
            Check("answers are of the expected kind", journal.answers, tuple(journal.unexpected)),
            Check(
                "repeated requests got the same answer",
                journal.repetitions,
                tuple(journal.differing),
            ),
            self._answered(),
            payments,
        ]
        if self.target.wallets:
            transfers = self._transfers()
            checks += [transfers, self._balances(), self._statements()]
        if self.target.is_own_merchant:
            checks += self._totals(rows)
        return checks

    def _answered(self) -> Check:
        """A stage that answers next to nothing would fulfil every other check."""
        answered, open_requests = self.journal.answers, len(self.journal.open_requests)
        problems = (
            (f"{answered} requests were answered, and {open_requests} never",)
            if open_requests >= answered
            else ()
        )
        return Check("most requests got an answer", answered + open_requests, problems)

    # ------------------------------------------------------------ payments

    def _payments(self) -> tuple[Check, list[Any]]:
        """Each answered payment exists as answered, and no other one of this run.

        Also returns the payments of the run as the API shows them.
        """
        known = self.journal.payments
        start = (self.begun - CLOCK_SKEW).isoformat(timespec="seconds").replace("+00:00", "Z")

        def listed() -> dict[str, Any]:
            pages = self.reader.pages("/v1/payments", start_date=start)
            return self._of_this_run(pages)

        found = self.reader.until(listed, lambda rows: known.keys() <= rows.keys())
        # The list follows the table after a moment; the payment itself is strongly consistent.
        different = [each for each in known.values() if not _agrees(each, found.get(each.id))]
        with ThreadPoolExecutor(READING_THREADS) as pool:
            read = pool.map(self.reader.find, (f"/v1/payments/{each.id}" for each in different))
        problems = []
        for payment, row in zip(different, read, strict=True):
            if row is not None:
                found[payment.id] = row
            if not _agrees(payment, row) and payment.id not in self._open_payments:
                problems.append(_difference(payment, row))
        problems += self._strangers(found, known)
        return Check("payments exist as answered", len(known), tuple(problems)), [*found.values()]

    def _strangers(self, found: Mapping[str, Any], known: Mapping[str, Any]) -> Iterable[str]:
        """Rows of this run that no answer named. Those of unknown outcomes may be there."""
        by_key = {each.key: each.id for each in known.values()}
        for row_id, row in found.items():
            key = row["metadata"].get(KEY)
            if row_id in known or key in self._open_keys:
                continue
            first = by_key.get(key)
            yield (
                f"{row_id} ({row['amount']}, {row['status']}) was not answered to any request"
                if first is None
                else f"{row_id} was made by the request that was answered with {first}"
            )

    def _of_this_run(self, rows: Iterable[Any]) -> dict[str, Any]:
        return {row["id"]: row for row in rows if row["metadata"].get(RUN) == self.target.run_id}

    # ------------------------------------------------------------ accounts

    def _transfers(self) -> Check:
        """Each answered transfer exists as answered, and no other one of this run."""
        known = self.journal.transfers

        def of_account(account_id: str) -> dict[str, Any]:
            rows = self.reader.pages("/v1/transfers", account_id=account_id, status="processed")
            return self._of_this_run(rows)

        def listed() -> dict[str, Any]:
            with ThreadPoolExecutor(READING_THREADS) as pool:
                found = list(pool.map(of_account, self.target.wallets))
            return {row_id: row for rows in found for row_id, row in rows.items()}

        found = self.reader.until(listed, lambda rows: known.keys() <= rows.keys())
        problems = []
        for transfer in known.values():
            row = found.get(transfer.id) or self.reader.find(f"/v1/transfers/{transfer.id}")
            if not _moved_as_answered(transfer, row):
                problems.append(f"{transfer.id} was answered as {transfer}, and is {row}")
        problems += self._strangers(found, known)
        return Check("transfers exist as answered", len(known), tuple(problems))

    def _balances(self) -> Check:
        """Each balance moved by the sum of the answered transfers, and nothing is held."""
        least = Counter(self.target.wallets)
        for each in self.journal.transfers.values():
            least[each.source] -= each.amount
            least[each.target] += each.amount
        most = Counter(least)
        for request in self.journal.open_requests:
            if request.operation is Operation.TRANSFER and request.body is not None:
                least[request.body["from_account_id"]] -= request.amount
                most[request.body["to_account_id"]] += request.amount
        problems = []
        for account_id in self.target.wallets:
            account = self.reader.get(f"/v1/accounts/{account_id}")
            low, high = least[account_id], most[account_id]
            if not low <= account["balance"] <= high:
                expected = f"{low}" if low == high else f"{low} to {high}"
                problems.append(f"{account_id}: {account['balance']} instead of {expected}")
            if account["held_out"] or account["held_in"]:
                problems.append(f"{account_id} has money on hold")
        return Check("balances moved by the answers", len(self.target.wallets), tuple(problems))

    def _statements(self) -> Check:
        """The entries of each account add up to its balance; the stream derives them."""
        problems = []
        lines = 0
        for account_id in self.target.wallets:
            balance = self.reader.get(f"/v1/accounts/{account_id}")["balance"]
            amounts = self._entries_up_to(account_id, balance)
            lines += len(amounts)
            if sum(amounts) != balance:
                problems.append(f"{account_id}: entries of {sum(amounts)}, a balance of {balance}")
        return Check("statements add up to balances", lines, tuple(problems))

    def _entries_up_to(self, account_id: str, balance: int) -> list[int]:
        path = f"/v1/accounts/{account_id}/entries"
        return self.reader.until(
            lambda: [each["amount"] for each in self.reader.pages(path)],
            lambda amounts: sum(amounts) == balance,
        )

    # ------------------------------------------------------------ totals

    def _totals(self, rows: list[Any]) -> list[Check]:
        """The summary counts and adds up the payments; the receivable has what it says is left."""
        currency = self.target.currency
        by_status = Counter(row["status"] for row in rows)
        sums = {
            "count": len(rows),
            "captured": sum(row["amount_captured"] for row in rows),
            "refunded": sum(row["amount_refunded"] for row in rows),
        }

        def agrees(summary: Any) -> bool:
            found = summary["by_currency"].get(currency, {})
            same = all(found.get(name, 0) == value for name, value in sums.items())
            return same and Counter(summary["by_status"]) == by_status

        summary = self.reader.until(lambda: self.reader.get("/v1/payments/summary"), agrees)
        totals = summary["by_currency"].get(currency, {})
        problems = []
        if not agrees(summary):
            said = {name: totals.get(name, 0) for name in sums}
            problems.append(
                f"the summary has {said} and {summary['by_status']}, the payments come to {sums} "
                f"and {dict(by_status)}"
            )
        checks = [Check("totals add up the payments", len(rows), tuple(problems))]
        if self.target.merchant_id is not None and sums["captured"]:
            checks.append(self._receivable(self.target.merchant_id, totals.get("net", 0)))
        return checks

    def _receivable(self, merchant_id: str, net: int) -> Check:
        path = f"/v1/accounts/acc_receivable_{merchant_id}_{self.target.currency}"

        def balance() -> int:
            account = self.reader.find(path)
            return 0 if account is None else int(account["balance"])

        found = self.reader.until(balance, lambda amount: amount == net)
        problem = (f"its balance is {found}, captures minus refunds and fees are {net}",)
        name = "the merchant's account has what is left"
        return Check(name, 1, () if found == net else problem)


def _agrees(payment: Payment, row: Any) -> bool:
    return row is not None and all(row[name] == value for name, value in _members(payment).items())


def _members(payment: Payment) -> dict[str, Any]:
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "status": payment.status,
        "amount_captured": payment.captured,
        "amount_refunded": payment.refunded,
    }


def _difference(payment: Payment, row: Any) -> str:
    if row is None:
        return f"{payment.id} was answered, and does not exist"
    different = (
        f"{name} is {row[name]}, answered {value}"
        for name, value in _members(payment).items()
        if row[name] != value
    )
    return f"{payment.id}: {'; '.join(different)}"


def _moved_as_answered(transfer: Transfer, row: Any) -> bool:
    if row is None:
        return False
    found = (row["from_account_id"], row["to_account_id"], row["amount"], row["status"])
    return bool(found == (transfer.source, transfer.target, transfer.amount, "processed"))
