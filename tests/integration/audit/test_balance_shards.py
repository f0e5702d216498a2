"""Balance shards in the audit log: postings are recorded by entries, everything else by rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from runtime.audit.models import AuditRow
from runtime.ledger.accounts.models import Account, AccountType, row_id, row_key
from runtime.ledger.entries.models import Entry, EntryPlace
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.hot_accounts.repository import HotAccount, ShardCredit, ShardRepository
from tests.support.audit.harness import AuditHarness
from tests.support.audit.rows import (
    DONE,
    account,
    audit_projection,
    chain_of,
    next_version,
    outside_alerts,
    reported,
)
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

ACCOUNT = "acc_hot"
SHARD = row_id(ACCOUNT, "01")


def shard_of(platform: Platform) -> Account | None:
    return next((row for row in platform.rows(Account) if row.id == SHARD), None)


def credited(platform: Platform, *amounts: int) -> tuple[Account | None, Account]:
    """The shard before and after a commit that adds amounts to it."""
    before, now = shard_of(platform), platform.clock()
    items = []
    for amount in amounts:
        transfer = new_id("trf", now)
        items.append(ShardCredit(transfer, new_id("pos", now), amount, "2026-03-14T09:00:00.000Z"))
    target = HotAccount(ACCOUNT, "mer_a", AccountType.MERCHANT, "USD", credit_shards=1)
    ShardRepository(platform.store).credit(target, items, SETUP, now)
    after = shard_of(platform)
    assert after is not None
    return before, after


def consolidated(platform: Platform) -> tuple[Account, Account]:
    """The shard before and after it was emptied into row 00."""
    before = shard_of(platform)
    assert before is not None
    platform.put(before.model_copy(update={**row_key(ACCOUNT), "balance": 0}))
    ShardRepository(platform.store).consolidate(ACCOUNT, lambda _: SETUP, platform.clock())
    after = shard_of(platform)
    assert after is not None
    return before, after


def projected(platform: Platform, *changes: tuple[Account | None, Account | None]) -> None:
    records = [reported(platform, old, new) for old, new in changes]
    assert audit_projection(platform)(records) == DONE


def reasons(platform: Platform) -> list[str]:
    return [str(alert.detail["reason"]) for alert in outside_alerts(platform)]


def test_postings_and_consolidations_of_a_shard_have_no_rows(either_world: Platform) -> None:
    platform = either_world
    changes = [credited(platform, 70), credited(platform, 5, -3, 8), credited(platform, 4, -4)]
    changes.append(consolidated(platform))
    projected(platform, *changes)
    projected(platform, *changes)
    assert platform.rows(AuditRow) == []
    assert reasons(platform) == []


def test_the_changes_of_a_batch_are_explained_by_one_read(either_world: Platform) -> None:
    platform = either_world
    credited(platform, 1)
    records = [reported(platform, *credited(platform, n)) for n in range(1, 6)]
    platform.store.usage.restart()
    assert audit_projection(platform)(records) == DONE
    assert platform.store.usage.counts()["round_trips"] == 1


def test_an_entry_that_is_visible_a_moment_later_explains_its_change(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = EntryRepository.at

    def late(
        repository: EntryRepository, places: Sequence[EntryPlace], *, settled: bool = False
    ) -> list[Entry]:
        return real(repository, places, settled=True) if settled else []

    monkeypatch.setattr(EntryRepository, "at", late)
    projected(platform, credited(platform, 70), credited(platform, 5))
    assert reasons(platform) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"balance": 1_000}, "no entry of"),
        ({"balance": 1_000, "last_operation_id": "pos_x"}, "no entry of"),
        ({"balance": 1_000, "cause": "trf_" + "x" * 3000}, "no entry of"),
        ({"balance": 1_000, "cause": "swp_1", "last_operation_id": "swp_1"}, "no entry of"),
        ({"spendable": 1_000}, "its spendable changed, which no posting does"),
        ({"balance": 1, "status": "inactive"}, "its status changed, which no posting does"),
    ],
)
def test_a_forged_posting_of_a_shard_is_recorded(
    platform: Platform, change: dict[str, Any], reason: str
) -> None:
    first = credited(platform, 70)
    cause = {"cause": first[1].cause, "request_id": "req-2"}
    forged = next_version(first[1], **{**cause, **change})
    records = [reported(platform, *first), reported(platform, first[1], forged)]
    for _ in range(2):
        assert audit_projection(platform)(records) == DONE
    (row,) = chain_of(platform, SHARD)
    assert (row.action, row.version) == ("out_of_band", 2)
    assert set(row.changes) == change.keys() - {"cause"}
    (alert,) = reasons(platform)
    assert reason in alert


def test_a_new_shard_that_no_posting_made_is_recorded(platform: Platform) -> None:
    given = account(
        platform, **row_key(ACCOUNT, "01"), posting="folded", balance=5, last_operation_id="pos_1"
    )
    other = account(platform, **row_key(ACCOUNT, "x1"), posting="folded")
    misplaced = account(platform, id=ACCOUNT, posting="folded", shard="02")
    richer = account(platform, **row_key("acc_b", "01"), posting="folded", spendable=7)
    projected(platform, *((None, row) for row in (given, other, misplaced, richer)))
    found = sorted(reasons(platform))
    assert [reason.split("'")[0] for reason in found] == [
        "acc_hot has no shard ",
        "acc_hot#x1 has no shard ",
        "its balance changed by 5, and no entry of ",
        "its spendable changed, which no posting does",
    ]


def test_a_posting_does_not_explain_another_version_or_shard(platform: Platform) -> None:
    first, second = credited(platform, 70), credited(platform, 5)
    again = next_version(second[1], balance=80, cause=second[1].cause)
    moved = [row and row.model_copy(update=row_key(ACCOUNT, "02")) for row in second]
    projected(platform, first, second, (second[1], again), (moved[0], moved[1]))
    assert [row.action for row in chain_of(platform, SHARD)] == ["out_of_band"]
    assert [row.action for row in chain_of(platform, row_id(ACCOUNT, "02"))] == ["out_of_band"]


def test_edits_between_postings_are_a_valid_chain(either_auditor: AuditHarness) -> None:
    auditor = either_auditor
    platform = auditor.platform
    projected(platform, credited(platform, 70), credited(platform, 5))
    for amount in (1, 2):
        before = shard_of(platform)
        assert before is not None
        edited = before.model_copy(update={"balance": before.balance + 100})
        auditor.store(edited)
        projected(platform, (before, edited))
        projected(platform, credited(platform, amount), credited(platform, amount))
    name = SHARD
    rows = chain_of(platform, name)
    assert [row.version for row in rows] == [2, 4]
    auditor.archive(rows)
    auditor.close()
    assert auditor.found() == []
    newest = shard_of(platform)
    assert newest is not None
    auditor.store(newest.model_copy(update={"version": 4, "balance": 1}))
    assert auditor.found() == [(name, 2, rows[-1].sequence)]
    platform.delete(newest)
    assert auditor.found() == [(name, 2, rows[-1].sequence)]


def test_a_shard_that_was_deleted_and_restored_is_recorded_twice(
    either_auditor: AuditHarness,
) -> None:
    auditor = either_auditor
    platform = auditor.platform
    first = credited(platform, 70)
    changes = [first, (first[1], None), (None, first[1])]
    records = [reported(platform, old, new) for old, new in changes]
    for _ in range(2):
        assert audit_projection(platform)(records) == DONE
    rows = chain_of(platform, SHARD)
    assert [row.image_hash == "" for row in rows] == [True, False]
    assert sorted(reasons(platform)) == ["a deleted row was restored", "the row was deleted"]
    auditor.archive(rows)
    auditor.close()
    assert auditor.found() == []
