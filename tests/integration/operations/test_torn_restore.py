"""Tables that were restored to different instants: what finds each tear, and what corrects it.

The table of docs/runbooks/restore.md ("Verify"), row by row. Point-in-time recovery restores each
table by itself, and does not keep transactions together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from operations.totals.reconciler import check_totals
from runtime.verification.rules import RunKind
from tests.integration.operations.test_rebuild_balances import Losses
from tests.integration.operations.test_rebuild_totals import deps as totals_deps
from tests.integration.operations.test_rebuild_totals import populated
from tests.support.audit.harness import AuditHarness
from tests.support.engines.engine import Engine
from tests.support.oracles.totals import totals_must_be_exact
from tests.support.platform import Platform
from tests.support.simulation.ledger import LedgerPlatform

Items = Mapping[str, list[dict[str, Any]]]


def instant_of(platform: Platform) -> Items:
    """All rows of all tables now."""
    pages = platform.client.get_paginator("scan")
    return {
        name: [
            item
            for page in pages.paginate(TableName=physical, ConsistentRead=True)
            for item in page["Items"]
        ]
        for name, physical in platform.tables.items()
    }


def restore(platform: Platform, instant: Items, *tables: str) -> None:
    """Put these tables back to an earlier instant; the others stay as they are."""
    for name in tables:
        physical, keys = platform.tables[name], platform.key_names[platform.tables[name]]
        for item in instant_of(platform)[name]:
            key = {attribute: item[attribute] for attribute in keys}
            platform.client.delete_item(TableName=physical, Key=key)
        for item in instant[name]:
            platform.client.put_item(TableName=physical, Item=item)


@pytest.fixture
def sales(engine: Engine, dice: Random) -> Iterator[Losses]:
    ledger = LedgerPlatform(engine, str(dice.random()))
    yield Losses(ledger)
    ledger.platform.drop()


def broken_checks(sales: Losses) -> set[str]:
    """Names of the checks of a full ledger verification that do not hold."""
    report = sales.ledger.verify_ledger(kind=RunKind.FULL)
    return {check.name.value for check in report.checks if not check.holds}


def test_hot_accounts_of_an_earlier_instant_are_found_and_rebuilt(sales: Losses) -> None:
    platform = sales.ledger.platform
    sales.sell(1_000, 2_000)
    before = instant_of(platform)
    sold = sales.sell(300, 40)
    platform.clock.advance(3_600)
    expected = sales.balance()
    restore(platform, before, "accounts", "entries")
    assert broken_checks(sales)
    report = sales.check()
    assert not report.holds
    assert {each for difference in report.differences for each in difference.named} >= sold
    assert sales.check(repair=True).holds
    assert sales.balance() == expected
    sales.ledger.must_be_verified()


@pytest.mark.parametrize(
    ("table", "broken"),
    [
        ("accounts", {"account_entries", "transfer_entries"}),
        ("entries", {"account_entries", "transfer_entries"}),
        ("transfers", {"payment_postings", "transfer_entries"}),
        ("payments", {"payment_postings"}),
        ("transactions", {"payment_postings", "payment_totals"}),
    ],
)
def test_each_table_of_an_earlier_instant_is_found_by_ledger_verification(
    sales: Losses, table: str, broken: set[str]
) -> None:
    platform = sales.ledger.platform
    sales.sell(1_000)
    before = instant_of(platform)
    sales.sell(300, 40)
    platform.clock.advance(3_600)
    assert broken_checks(sales) == set()
    restore(platform, before, table)
    assert broken_checks(sales) == broken


def test_a_rebuild_adds_nothing_to_accounts_that_are_ahead_of_their_entries(
    sales: Losses,
) -> None:
    """Their balances contain the transfers already: they would be credited twice."""
    platform = sales.ledger.platform
    sales.sell(1_000)
    before = instant_of(platform)
    sold = sales.sell(300, 40)
    platform.clock.advance(3_600)
    balance, after = sales.balance(), instant_of(platform)
    restore(platform, before, "entries")
    report = sales.check(repair=True)
    assert not report.holds
    assert report.repaired == 0
    assert all(each.ahead for each in report.left)
    assert {each for difference in report.left for each in difference.named} == sold
    assert sales.balance() == balance
    restore(platform, after, "entries")
    sales.ledger.must_be_verified()


def test_totals_of_an_earlier_instant_are_found_and_rebuilt(
    platform: Platform, dice: Random
) -> None:
    populated(platform, dice)
    after = instant_of(platform)
    half = [item for number, item in enumerate(after["totals"]) if number % 2]
    restore(platform, {"totals": half}, "totals")
    assert not check_totals(totals_deps(platform)).holds
    assert check_totals(totals_deps(platform), repair=True).holds
    totals_must_be_exact(platform)


def test_an_audit_log_of_an_earlier_instant_lacks_rows_that_its_archive_has(
    auditor: AuditHarness,
) -> None:
    first = auditor.account({"status": "inactive"})
    before = instant_of(auditor.platform)
    second = auditor.account({"status": "inactive"})
    auditor.close()
    assert auditor.found() == []
    restore(auditor.platform, before, "audit_log")
    findings = auditor.verify().findings
    assert {each.subject for each in findings} == {second.id}
    assert all("archived but is not in the table" in each.reason for each in findings)
    assert first.id not in {each.subject for each in findings}


def test_rows_of_an_earlier_instant_than_the_audit_log_are_found(auditor: AuditHarness) -> None:
    changed = auditor.account({"status": "inactive"})
    before = instant_of(auditor.platform)
    made = auditor.account({"status": "inactive"})
    auditor.close()
    restore(auditor.platform, before, "accounts")
    assert {subject for subject, _, _ in auditor.found()} == {made.id}
    assert changed.id != made.id
