"""Lists of settlement files and settlements, on AWS's own engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.errors import TransactionRefused
from runtime.http.pagination import Cursors
from runtime.reconciliation.files.api import SettlementFileQuery
from runtime.reconciliation.files.models import FileStatus, SettlementFile, merchant_status
from runtime.reconciliation.files.repository import SettlementFileRepository
from runtime.reconciliation.files.routes import SettlementFileReads, list_settlement_files
from runtime.reconciliation.settlements.api import SettlementQuery
from runtime.reconciliation.settlements.models import Settlement, SettlementStatus
from runtime.reconciliation.settlements.queries import list_settlements
from tests.support.outside import new_id
from tests.support.platform import Platform, pages


def stamp(platform: Platform, merchant_id: str) -> dict[str, Any]:
    now = to_timestamp(platform.clock())
    who = {"changed_by": "tests", "request_id": "r", "cause": "c"}
    return {"merchant_id": merchant_id, "created_at": now, "updated_at": now, **who}


def file_of(platform: Platform, merchant_id: str, status: FileStatus) -> SettlementFile:
    file_id = new_id("fil", platform.clock())
    return SettlementFile(
        id=file_id,
        merchant_status=merchant_status(merchant_id, status),
        name="a.csv",
        key=f"reconciliation/{merchant_id}/{file_id}/a.csv",
        status=status,
        **stamp(platform, merchant_id),
    )


def ids_of(read: Callable[[str | None], Any]) -> list[str]:
    return [row.id for page in pages(read) for row in page.data]


def test_files_are_paged_newest_first_by_owner_and_by_status(platform: Platform) -> None:
    repository = SettlementFileRepository(platform.store)
    shop, other = platform.merchant(), platform.merchant()
    made: list[SettlementFile] = []
    for owner in (shop.id, other.id, "platform"):
        for status in (FileStatus.RECEIVED, FileStatus.REJECTED, FileStatus.RECEIVED):
            file = file_of(platform, owner, status)
            repository.create(file, None, token=file.id, now=platform.clock())
            made.append(file)
    with pytest.raises(TransactionRefused):
        repository.create(made[0], None, token="again", now=platform.clock())
    reads = SettlementFileReads(repository, Cursors(lambda: bytes(32)))
    call = platform.call(shop)
    for status in (None, FileStatus.RECEIVED, FileStatus.REJECTED, FileStatus.COMPLETED):
        wanted = [
            file.id
            for file in reversed(made)
            if file.merchant_id == shop.id and status in (None, file.status)
        ]
        for limit in (1, 2, 100):
            listed = ids_of(
                lambda c, n=limit, s=status: list_settlement_files(
                    SettlementFileQuery(cursor=c, limit=n, status=s), call, reads
                )
            )
            assert listed == wanted


def test_settlements_are_paged_by_day_and_by_status(platform: Platform) -> None:
    shop = platform.merchant()
    made = []
    for number, day in enumerate(("2026-03-13", "2026-03-14", "2026-03-14", "2026-03-16")):
        status = SettlementStatus.COMPLETED if number % 2 else SettlementStatus.PROCESSING
        settlement = Settlement(
            id=f"set_{number}",
            date=day,
            status=status,
            source="a.csv",
            sha256="",
            **stamp(platform, shop.id),
        )
        item = platform.store.codec.to_item(settlement)
        platform.client.put_item(TableName=platform.tables["settlements"], Item=item)
        made.append(settlement)
    archive, call = platform.settlement_reads(), platform.call(shop)
    for query in (
        {},
        {"start_date": "2026-03-14"},
        {"end_date": "2026-03-14"},
        {"start_date": "2026-03-14", "end_date": "2026-03-14"},
        {"status": SettlementStatus.COMPLETED, "end_date": "2026-03-15"},
    ):
        wanted = [
            row.id
            for row in sorted(made, key=lambda row: (row.date, row.id), reverse=True)
            if query.get("start_date", "") <= row.date <= query.get("end_date", "9")
            and query.get("status") in (None, row.status)
        ]
        for limit in (1, 2, 100):
            listed = ids_of(
                lambda c, n=limit, q=query: list_settlements(
                    SettlementQuery(cursor=c, limit=n, **q), call, archive
                )
            )
            assert sorted(listed) == sorted(wanted)
            assert [i for i in listed if i in ("set_0", "set_3")] == [
                i for i in wanted if i in ("set_0", "set_3")
            ]
