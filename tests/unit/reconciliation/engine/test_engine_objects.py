"""Objects of the settlement bucket: their rows, and rejections."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest

from runtime.alerts.models import AlertType
from runtime.reconciliation.files import planning
from runtime.reconciliation.files.models import (
    MAX_SETTLEMENT_BUCKETS,
    MAX_SETTLEMENT_FILES,
    FileStatus,
)
from runtime.reconciliation.importers.canonical import HEADER
from runtime.reconciliation.matching.identities import settlement_id
from runtime.reconciliation.settlements.models import (
    Settlement,
    SettlementFormat,
    SettlementStatus,
)
from tests.support.engines.faults import ProcessKilled
from tests.support.reconciliation.engine import AT, SHOP, SettlementEngine
from tests.support.reconciliation.fakes import LONGEST_KEY, Steps
from tests.support.reconciliation.settlement_files import (
    KEY,
    announced_upload,
    file_of,
    line,
    some_file,
    the_file,
)

# ---------------------------------------------------------------- objects and rows


def test_an_announced_file_keeps_its_row() -> None:
    engine = SettlementEngine()
    row = announced_upload(engine, 1, [line(1)])
    engine.run()
    file = the_file(engine)
    assert (file.id, file.status, file.created_at) == (row.id, FileStatus.COMPLETED, AT)
    assert file.merchant_status == f"{SHOP}#completed"


def test_a_second_version_of_an_announced_file_is_a_separate_file() -> None:
    engine = SettlementEngine()
    row = announced_upload(engine, 1, [line(1)])
    engine.drop(row.key, file_of([line(1), line(2)]))
    engine.run()
    assert sorted(file.lines for file in engine.tables.files.values()) == [1, 2]
    assert engine.tables.files[row.id].lines == 1


def test_an_object_replaced_while_it_is_read_is_never_mixed_with_its_replacement() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(n) for n in range(25)]))
    replaced: list[str] = []

    def replace(key: str) -> None:
        if not replaced:
            replaced.append(engine.drop(KEY, file_of([line(n, 7) for n in range(100, 103)])))

    engine.bucket.on_read = replace
    engine.run()
    assert sorted(file.lines for file in engine.tables.files.values()) == [3, 25]
    amounts = Counter(row.amount for row in engine.tables.line_rows.values())
    assert amounts == {1000: 25, 7: 3}


def test_an_event_of_a_deleted_object_is_ignored() -> None:
    engine = SettlementEngine()
    engine.announce(KEY, "v9")
    engine.run()
    assert engine.tables.files == {}


@pytest.mark.parametrize("key", ["rejected/x.csv", "converted/fil_1.csv", "reconciliation/"])
def test_the_functions_own_objects_and_empty_folders_are_ignored(key: str) -> None:
    engine = SettlementEngine()
    engine.drop(key, b"")
    engine.run()
    assert engine.tables.files == {}
    assert engine.bucket.objects == {key: b""}


# ---------------------------------------------------------------- rejections

UNKNOWN_MERCHANT = "mer_01KKMT9200XCDX7SXNA4CE7V99"
REJECTED = [
    (KEY, b"", "The file is empty"),
    (KEY, b"id;amount\n1;2\n", "begins with the columns id"),
    (KEY, b"%PDF-1.7 ...", "This is a PDF"),
    (KEY, b",".join(n.encode() for n in HEADER[1:]) + b"\n", "without the column payment_id"),
    (KEY, b"a" * 100_000, "."),
    (
        f"reconciliation/{UNKNOWN_MERCHANT}/2026-03-15.csv",
        file_of([]),
        "in the folder of an unknown merchant",
    ),
    ("somewhere.csv", file_of([]), "not in a merchant's folder"),
    (f"reconciliation/{SHOP}/a/b/c.csv", file_of([]), "not in a merchant's folder"),
]


@pytest.mark.parametrize(("key", "body", "reason"), REJECTED, ids=[r for _, _, r in REJECTED])
def test_other_objects_are_rejected_alerted_and_moved(key: str, body: bytes, reason: str) -> None:
    engine = SettlementEngine()
    engine.drop(key, body)
    engine.run()
    file = the_file(engine)
    assert file.status is FileStatus.REJECTED
    assert reason in (file.reason or "")
    assert engine.bucket.objects == {f"rejected/{key}": body}
    (alert,) = engine.tables.alerts.values()
    assert (alert.type, alert.entity_id) == (AlertType.SETTLEMENT_FILE_REJECTED, file.id)
    assert alert.detail["reason"] == file.reason
    assert engine.tables.line_rows == {}
    shown = [(s.status, s.rejection_reason) for s in engine.tables.settlements.values()]
    whose = file.merchant_id
    assert shown == ([("rejected", file.reason)] if whose == SHOP else [])
    assert alert.merchant_id == whose


@pytest.mark.parametrize(
    "name", ["a" * 1_000, "ä" * 500, "../../x", "a\nb", "%2e%2e#?&+ .csv", "\u202e\ufeff"]
)
@pytest.mark.parametrize("folder", ["", "reconciliation/", f"reconciliation/{SHOP}x/"])
def test_an_object_of_any_name_is_moved_once_and_listed(folder: str, name: str) -> None:
    engine = SettlementEngine()
    key = (folder + name).encode()[:LONGEST_KEY].decode(errors="ignore")
    engine.drop(key, b"no header\n")
    engine.run(each_twice=True)
    assert (the_file(engine).status, the_file(engine).key) == (FileStatus.REJECTED, key)
    (moved,) = engine.bucket.objects
    assert moved.startswith("rejected/")


def test_the_longest_key_is_moved_under_a_shorter_one() -> None:
    engine = SettlementEngine()
    key = f"reconciliation/{SHOP}/".ljust(LONGEST_KEY, "a")
    engine.drop(key, b"no header\n")
    engine.drop(key[:-1] + "b", b"no header\n")
    engine.run()
    assert len(engine.bucket.objects) == 2
    assert {file.status for file in engine.tables.files.values()} == {FileStatus.REJECTED}


@pytest.mark.parametrize("blank", ["\n", '"\n"\n', " \r\n"])
def test_a_file_with_more_physical_lines_than_line_numbers_is_rejected(
    blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.reconciliation.files.plan.LATER_FILE_LINES", 20)
    engine = SettlementEngine()
    engine.drop(KEY, file_of([line(1)]) + (blank * 20 + line(2)).encode())
    engine.run()
    assert the_file(engine).status is FileStatus.REJECTED
    assert "20 physical lines" in (the_file(engine).reason or "")


def test_a_file_that_differs_from_the_announced_one_is_rejected() -> None:
    engine = SettlementEngine()
    row = announced_upload(engine, 1, [line(1)], sha256="ab" * 32)
    engine.run()
    file = engine.tables.files[row.id]
    assert file.status is FileStatus.REJECTED
    assert "was announced" in (file.reason or "")


def test_an_oversized_file_is_rejected_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MAX_FILE_BYTES", 100)
    engine = SettlementEngine()
    engine.drop(KEY, some_file())
    engine.run()
    assert "at most 100 are read" in (the_file(engine).reason or "")
    assert engine.bucket.most_read == 0


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("MAX_FILE_LINES", "more than 5 lines"), ("MAX_FILE_PAYOUTS", "more than 5 payouts")],
)
def test_a_file_above_a_limit_is_rejected(
    limit: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"runtime.reconciliation.files.plan.{limit}", 5)
    engine = SettlementEngine()
    header = "automatic_payout_id,balance_transaction_id,currency,gross,fee,net,reporting_category"
    lines = [f"po_{n},txn_{n},usd,1.00,0,1.00,charge,ch_{n}" for n in range(8)]
    engine.drop(KEY, file_of(lines, (*header.split(","), "source_id")))
    engine.run()
    assert reason in (the_file(engine).reason or "")


@pytest.mark.parametrize(
    "full",
    [
        {"file_ids": tuple(f"fil_{n}" for n in range(MAX_SETTLEMENT_FILES))},
        {"line_buckets": tuple(range(MAX_SETTLEMENT_BUCKETS))},
    ],
    ids=["files", "lines"],
)
def test_a_file_name_reused_forever_is_refused_before_its_settlement_is_too_large(
    full: dict[str, Any],
) -> None:
    engine = SettlementEngine()
    key = f"reconciliation/{SHOP}/settlement.csv"
    known = settlement_id(SHOP, SettlementFormat.CANONICAL, None, "settlement.csv")
    engine.tables.settlements[known] = Settlement(
        id=known,
        merchant_id=SHOP,
        date="2026-03-14",
        status=SettlementStatus.COMPLETED,
        source=key,
        sha256="",
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
        **full,
    )
    engine.drop(key, file_of([line(1)]))
    engine.run()
    assert the_file(engine).status is FileStatus.REJECTED
    assert "a name of its own" in (the_file(engine).reason or "")


def test_a_rejection_killed_at_any_call_gives_the_same_result() -> None:
    whole = SettlementEngine()
    whole.drop(KEY, b"no header\n")
    whole.run()
    for number in range(1, whole.steps.made + 1):
        for after in (False, True):
            engine = SettlementEngine(Steps(number, after=after))
            engine.drop(KEY, b"no header\n")
            engine.run(crashes=1)
            assert engine.state() == whole.state(), f"killed at call {number}"


def test_a_replacement_of_a_rejected_object_is_not_moved() -> None:
    engine = SettlementEngine()
    engine.drop(KEY, b"no header\n")
    good = file_of([line(1)])
    engine.drop(KEY, good)
    engine.run()
    statuses = Counter(file.status for file in engine.tables.files.values())
    assert statuses == {"rejected": 1, "completed": 1}
    assert engine.bucket.objects[KEY] == good


def test_a_crash_is_not_caught_by_the_code_under_test() -> None:
    engine = SettlementEngine(dataclasses.replace(Steps(), kill_at=3))
    engine.drop(KEY, some_file())
    with pytest.raises(ProcessKilled):
        engine.handle(engine.queue.waiting.popleft())
