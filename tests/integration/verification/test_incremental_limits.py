"""Incremental runs that are interrupted for weeks, and rows whose ids are not valid keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime.verification.models import VerificationRow
from runtime.verification.repository import NOTES_KEPT_DAYS, VerificationRepository
from runtime.verification.rules import RunKind
from runtime.verification.run import verify_ledger
from runtime.verification.segments import Phase, RunState
from tests.support.bookkeeper import CUT, Bookkeeper, violations_of
from tests.support.platform import Platform

INCREMENTAL, FULL = RunKind.INCREMENTAL, RunKind.FULL
LONGER_THAN_ANY_KEY = "x" * 3_000


@pytest.fixture
def books(platform: Platform) -> Bookkeeper:
    """A ledger that was verified in full."""
    books = Bookkeeper(platform)
    books.keep()
    books.changes.archive()
    books.platform.clock.advance(600)
    assert books.verify_ledger() == {}
    return books


@pytest.mark.parametrize("name", ["", LONGER_THAN_ANY_KEY], ids=["empty", "long"])
@pytest.mark.parametrize(
    ("edited", "check"),
    [
        ("payment_id", "payment_postings"),
        ("settlement_id", "settlement_postings"),
        ("legs", "transfer_entries"),
    ],
)
def test_a_transfer_that_names_no_valid_id_is_reported(
    books: Bookkeeper, edited: str, check: str, name: str
) -> None:
    transfer = books.move(0)
    changes: dict[str, Any] = {edited: name}
    if edited == "legs":
        changes = {"legs": (transfer.legs[0].model_copy(update={"to_account_id": name}),)}
    books.platform.put(transfer.model_copy(update=changes))
    books.changes.archive(by_hand={transfer.id})
    books.platform.clock.advance(2 * CUT.total_seconds())
    incremental = books.verify_ledger(INCREMENTAL)
    assert transfer.id in [found for found, _, _ in incremental[check]]
    assert books.verify_ledger(FULL) == incremental


@pytest.mark.parametrize("days", [NOTES_KEPT_DAYS - 2, NOTES_KEPT_DAYS])
def test_a_run_whose_notes_have_expired_is_begun_anew(books: Bookkeeper, days: int) -> None:
    row = books.row("acc_b")
    changes = {"balance": row.balance + 1, "spendable": row.spendable + 1}
    books.platform.put(row.model_copy(update=changes))
    books.changes.archive(by_hand={"acc_b"})
    books.platform.clock.advance(2 * CUT.total_seconds())
    before, books.must_stop = verified_until(books), lambda: _phase(books) is Phase.ACCOUNTS
    assert verify_ledger(books.deps, kind=INCREMENTAL).report is None
    books.platform.clock.advance(timedelta(days=days).total_seconds())
    _expire_notes(books)
    books.must_stop = lambda: False
    report = verify_ledger(books.deps).report
    assert report is not None
    assert [name for name, _, _ in violations_of(report)["account_entries"]] == ["acc_b#00"]
    assert verified_until(books) in {before, None}, "it does not pass the violation"


def verified_until(books: Bookkeeper) -> str | None:
    return VerificationRepository(books.platform.store).baseline().content.verified_until


def _phase(books: Bookkeeper) -> Phase | None:
    run = VerificationRepository(books.platform.store).open_run(RunState)
    return None if run is None else run.content.phase


def _expire_notes(books: Bookkeeper) -> None:
    now = books.platform.clock().timestamp()
    for row in books.platform.rows(VerificationRow):
        if row.expires_at is not None and row.expires_at <= now:
            books.platform.delete(row)
