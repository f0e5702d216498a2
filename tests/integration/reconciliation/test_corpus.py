"""The published settlement files through the whole engine: exactly the errors are found."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.ledger.rules import (
    clearing_account,
    fees_account,
    receivable_account,
    write_off_account,
)
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import MerchantProfile
from runtime.reconciliation.files.models import SettlementFile
from runtime.reconciliation.settlements.models import Settlement, SettlementIdentity, SettlementLine
from tests.corpus.__main__ import FOLDER
from tests.support.platform import Platform
from tests.support.reconciliation.corpus_books import put_books

ACCOUNTS = ("receivable", "clearing", "fees", "written_off")


@dataclass
class Case:
    """Files about the same payments, in order, with expected results and their merchant."""

    shop: MerchantProfile
    files: list[tuple[Path, dict[str, Any]]]

    @property
    def books(self) -> list[dict[str, Any]]:
        """Balances before the first file."""
        books: list[dict[str, Any]] = self.files[0][1]["books"]
        return books


def cases(platform: Platform) -> list[Case]:
    """All cases, with their payments stored in the world."""
    truths = {path: json.loads(path.read_text()) for path in FOLDER.glob("*.truth.json")}
    by_first: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for path, truth in sorted(truths.items(), key=lambda each: (len(each[1]["after"]), each[0])):
        file = path.with_name(path.name.replace(".truth.json", ".csv"))
        file = file if file.exists() else file.with_suffix(".xlsx")
        by_first.setdefault((*truth["after"], file.name)[0], []).append((file, truth))
    found = []
    for files in by_first.values():
        platform.clock.advance(1)
        made = Case(platform.merchant(), files)
        put_books(platform, made.shop, made.books)
        found.append(made)
    return found


def test_every_planted_error_is_found_and_nothing_else_is_an_exception(platform: Platform) -> None:
    everything = cases(platform)
    wrong: list[str] = []
    errors = 0
    for position in range(max(len(case.files) for case in everything)):
        wave = [case for case in everything if len(case.files) > position]
        for case in wave:
            path, truth = case.files[position]
            platform.clock.advance(1)
            key = f"reconciliation/{case.shop.id}/{truth['uploaded_as']}"
            platform.s3.objects[key] = path.read_bytes()
            platform.reconcile(key)
            errors += truth["errors"]
        rows = rows_by_merchant(platform)
        for case in wave:
            path, truth = case.files[position]
            found = differing(case, truth, rows[case.shop.id])
            wrong += [f"{path.name}: {difference}" for difference in found]
    assert wrong == [], f"{len(wrong)}:\n" + "\n".join(wrong)
    assert errors >= 200


Rows = dict[type[Any], list[Any]]
MODELS = (SettlementFile, SettlementIdentity, SettlementLine, Settlement, Transfer)


def rows_by_merchant(platform: Platform) -> dict[str, Rows]:
    """All rows that files change, by merchant."""
    found: dict[str, Rows] = defaultdict(lambda: {model: [] for model in MODELS})
    for model in MODELS:
        for row in platform.rows(model):
            found[row.merchant_id][model].append(row)
    return found


def differing(case: Case, truth: dict[str, Any], mine: Rows) -> Iterator[str]:
    """Differences between the tables and the expected results."""
    file = max(mine[SettlementFile], key=lambda each: each.id)
    if str(file.status) != truth["status"]:
        yield f"the file is {file.status} ({file.reason}), not {truth['status']}"
    if truth["rejected"] is not None:
        if truth["rejected"] not in (file.reason or ""):
            yield f"the reason is {file.reason!r}"
        if mine[SettlementLine] or mine[Transfer]:
            yield "something of it was recorded"
    else:
        yield from lines_differing(file, mine, truth)
        yield from settlements_differing(mine[Settlement], truth)
    now = balances(case, mine[Transfer])
    zero = dict.fromkeys(ACCOUNTS, 0)
    expected = {currency: {**zero, **each} for currency, each in truth["balances"].items()}
    for currency in sorted({*now, *expected}):
        if now.get(currency, zero) != expected.get(currency, zero):
            yield f"balances of {currency}: {now.get(currency)}, not {expected.get(currency)}"


def lines_differing(file: SettlementFile, mine: Rows, truth: dict[str, Any]) -> Iterator[str]:
    rows = {(row.settlement_id, row.line): row for row in mine[SettlementLine]}
    at = {
        each.file_line: rows[each.settlement_id, each.line]
        for each in mine[SettlementIdentity]
        if each.file_id == file.id
    }
    for expected in truth["lines"]:
        row = at.pop(expected["line"], None)
        if row is None:
            yield f"line {expected['line']} is missing"
            continue
        if str(row.status) != expected["status"]:
            yield f"line {row.line}: {row.status} ({row.reason}), not {expected}"
        for name in {"amount", "fee", "net", "currency"} & expected.keys():
            if getattr(row, name) != expected[name]:
                yield f"line {row.line}: {name} {getattr(row, name)}, not {expected[name]}"
    for number in at:
        yield f"line {number} is not in the file"


def settlements_differing(settlements: list[Settlement], truth: dict[str, Any]) -> Iterator[str]:
    by_key = {each.payout_reference or each.source.rpartition("/")[2]: each for each in settlements}
    for expected in truth["settlements"]:
        name = expected["payout_reference"] or expected["of_file"]
        found = by_key.pop(name, None)
        if found is None:
            yield f"settlement {name} is missing"
            continue
        for member in ("status", "counts", "payout", "remainder"):
            value = getattr(found, member)
            value = {str(k): v for k, v in value.items()} if isinstance(value, dict) else str(value)
            if value != expected[member]:
                yield f"settlement {name}: {member} {value}, not {expected[member]}"
    for name in by_key:
        yield f"settlement {name} is not in the truth"


def balances(case: Case, transfers: list[Transfer]) -> dict[str, dict[str, int]]:
    """Balances from the recorded facts and all postings of settlements, by currency."""
    sums: dict[str, Counter[str]] = {}
    for paid in case.books:
        of_currency = sums.setdefault(paid["currency"], Counter())
        for amount, fee in facts(paid):
            of_currency.update(receivable=amount - fee, clearing=-amount, fees=fee)
    for transfer in transfers:
        currency = transfer.currency
        names = {
            receivable_account(case.shop.id, currency): "receivable",
            clearing_account(currency): "clearing",
            fees_account(currency): "fees",
            write_off_account(currency): "written_off",
        }
        of_currency = sums.setdefault(currency, Counter())
        for leg in transfer.legs:
            of_currency[names[leg.from_account_id]] -= leg.amount
            of_currency[names[leg.to_account_id]] += leg.amount
    return {currency: {name: each[name] for name in ACCOUNTS} for currency, each in sums.items()}


def facts(paid: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Signed amounts and fees that were booked for a payment."""
    for capture in paid["captures"]:
        if capture["status"] == "succeeded":
            yield capture["amount"], capture["fee"]
    for refund in paid["refunds"]:
        if refund["status"] == "succeeded":
            yield -refund["amount"], 0
    for dispute in paid["disputes"]:
        yield dispute["returned"] - dispute["withdrawn"], dispute["fee"]
