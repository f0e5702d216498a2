"""Exports contain exactly the rows of their lists, whatever happens to their workers."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from runtime.core.errors import Forbidden, InvalidValue, NotFound, StaleWrite, TooManyExports
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.index_shards import bucket_for
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment, PaymentStatus
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.jobs import ExportBusy
from runtime.reporting.exports.models import ExportFormat, ExportStatus
from runtime.reporting.exports.requests import MAX_OPEN
from runtime.reporting.exports.writing import MAX_TRIES
from tests.support.engines.engine import Engine
from tests.support.engines.faults import Fault, Faults, ProcessKilled, at_step
from tests.support.exporting import LIFE_SECONDS, Exporting, FakeUploads, table_of
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

PAYMENTS = 230
"""Three chunks of rows."""


def stored(platform: Platform, shop: MerchantProfile, count: int, **changes: Any) -> list[Payment]:
    """Payments after their charge, newest first."""
    rows = []
    for number in range(count):
        now = platform.clock()
        payment_id = new_id("pay", now)
        values = {
            "id": payment_id,
            "merchant_id": shop.id,
            "merchant_bucket": bucket_for(shop.id, payment_id, shop.index_buckets),
            "status": PaymentStatus.SUCCEEDED,
            "amount": 1000 + number,
            "amount_captured": 1000 + number,
            "currency": "USD",
            "payment_method": "tok_approved",
            "processor": "sandbox",
            "created_at": to_timestamp(now),
            "updated_at": to_timestamp(now),
            **SETUP.stamp(),
            **changes,
        }
        row = Payment(**values)
        platform.put(row)
        rows.append(row)
    return rows[::-1]


@pytest.fixture
def exporting(platform: Platform) -> Exporting:
    return Exporting(platform)


def expected_lines(rows: list[Payment], exporting: Exporting, shop: MerchantProfile) -> bytes:
    """What an undisturbed worker writes; its rows are compared with the stored ones."""
    export = exporting.done(exporting.ask(shop, kind="payments", format="jsonl"))
    content = exporting.file(export)
    reported = [json.loads(line) for line in content.splitlines()]
    assert [each["id"] for each in reported] == [row.id for row in rows]
    assert [each["amount"] for each in reported] == [row.amount for row in rows]
    assert export.rows == len(rows)
    return content


class Killer:
    """Ends the process at the n-th call, to the tables or to S3."""

    def __init__(self, platform: Platform, number: int, fault: Fault) -> None:
        self._plan = at_step(number, fault)
        self.faults = Faults(self._plan)
        self.store = platform.store_on(self.faults.attach(platform.engine.dynamodb()))
        self._doomed = False
        self.killed = False

    def around(self, operation: str, done: bool) -> None:
        if not done:
            fault = self._plan(operation, 0)
            if fault is Fault.KILLED_BEFORE:
                self.killed = True
                raise ProcessKilled
            self._doomed = fault is Fault.KILLED_AFTER
        elif self._doomed:
            self.killed = True
            raise ProcessKilled


@pytest.mark.parametrize("life", [LIFE_SECONDS, 1.0], ids=["with time", "without time"])
def test_a_worker_killed_at_any_call_leaves_a_job_that_gives_the_same_file(
    platform: Platform, exporting: Exporting, life: float
) -> None:
    shop = platform.merchant(index_buckets=2)
    rows = stored(platform, shop, PAYMENTS)
    expected = expected_lines(rows, exporting, shop)
    exporting.part_bytes = 40_000  # a part for each chunk
    died = 0
    for number in itertools.count(1):
        export_id = exporting.ask(shop, kind="payments", format="jsonl")
        killer = Killer(platform, number, Fault.KILLED_BEFORE)
        exporting.s3.around = killer.around
        try:
            exporting.turn(export_id, store=killer.store, remaining_seconds=lambda: life)
        except ProcessKilled:
            died += 1
        else:
            break
        finally:
            exporting.s3.around = lambda operation, done: None
        platform.clock.advance(LIFE_SECONDS + 60)
        export = exporting.done(export_id)
        assert exporting.file(export) == expected, f"killed at call {number}"
        assert export.rows == len(rows)
    assert died >= (15 if life == LIFE_SECONDS else 6), "reads, parts, and their records"


def test_running_out_of_time_after_every_chunk_gives_the_same_file(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    rows = stored(platform, shop, PAYMENTS)
    expected = expected_lines(rows, exporting, shop)
    export_id = exporting.ask(shop, kind="payments", format="jsonl")
    turns = 0
    while exporting.turn(export_id, remaining_seconds=lambda: 1.0).next_in_seconds is not None:
        turns += 1
        row = exporting.row(export_id)
        assert row.lease_owner is None, "the next worker may start at once"
    assert turns == 4, "three chunks, each by another worker, and the digest"
    export = exporting.row(export_id)
    assert exporting.file(export) == expected
    assert export.rows == PAYMENTS


def test_of_two_concurrent_workers_only_one_works(platform: Platform, exporting: Exporting) -> None:
    shop = platform.merchant()
    expected = expected_lines(stored(platform, shop, 3), exporting, shop)
    export_id = exporting.ask(shop, kind="payments", format="jsonl")
    refused = []

    def second(operation: str, done: bool) -> None:
        if operation == "UploadPart" and not done:
            with pytest.raises(ExportBusy) as busy:
                exporting.turn(export_id)
            refused.append(busy)

    exporting.s3.around = second
    exporting.turn(export_id)
    assert len(refused) == 1
    assert exporting.file(exporting.row(export_id)) == expected
    assert exporting.turn(export_id).next_in_seconds is None, "a late message has no effect"


def test_a_part_of_a_replaced_worker_is_not_in_the_file(
    platform: Platform, exporting: Exporting
) -> None:
    """The first worker pauses before it sends a part, is replaced, and sends it then."""
    shop = platform.merchant()
    rows = stored(platform, shop, PAYMENTS)
    expected = expected_lines(rows, exporting, shop)
    exporting.part_bytes = 40_000
    export_id = exporting.ask(shop, kind="payments", format="jsonl")
    uploads = itertools.count(1)

    def stand_still(operation: str, done: bool) -> None:
        if operation == "UploadPart" and not done and next(uploads) == 2:
            exporting.s3.around = lambda operation, done: None
            platform.clock.advance(LIFE_SECONDS + 60)
            # The row that the second worker would write has changed meanwhile.
            platform.put(rows[150].model_copy(update={"description": "later", "version": 2}))
            exporting.part_bytes = 10_000_000
            taken = exporting.turn(export_id, remaining_seconds=lambda: 1.0)
            assert taken.next_in_seconds == 0
            exporting.part_bytes = 40_000

    exporting.s3.around = stand_still
    with pytest.raises(StaleWrite):
        exporting.turn(export_id)
    export = exporting.done(export_id)
    lines = exporting.file(export).splitlines()
    assert len(lines) == PAYMENTS
    assert json.loads(lines[150])["description"] == "later"
    changed = [each for each, was in zip(lines, expected.splitlines(), strict=True) if each != was]
    assert len(changed) == 1


def test_an_export_without_progress_fails_visibly(platform: Platform, exporting: Exporting) -> None:
    shop = platform.merchant()
    stored(platform, shop, 1)
    export_id = exporting.ask(shop, kind="payments")

    def broken(operation: str, done: bool) -> None:
        if operation == "UploadPart":
            raise RuntimeError("no")

    exporting.s3.around = broken
    for _ in range(MAX_TRIES):
        with pytest.raises(RuntimeError):
            exporting.turn(export_id)
        platform.clock.advance(LIFE_SECONDS + 60)
    assert exporting.turn(export_id).next_in_seconds is None
    export = exporting.row(export_id)
    assert export.status is ExportStatus.FAILED
    assert export.failure_reason == f"it was not completed in {MAX_TRIES} tries"
    assert export.open_status is None


def test_exports_have_the_filters_of_the_list(platform: Platform, exporting: Exporting) -> None:
    shop, other = platform.merchant(index_buckets=2), platform.merchant()
    rows = stored(platform, shop, 5)
    stored(platform, other, 2)
    customer = platform.customer(shop)
    theirs = stored(platform, shop, 2, customer_id=customer)

    def ids(**filters: Any) -> list[str]:
        return [row["id"] for row in exporting.made(shop, kind="payments", **filters)]

    everything = [row.id for row in (*theirs, *rows)]
    assert ids() == everything
    assert ids(customer_id=customer) == [row.id for row in theirs]
    assert ids(min_amount=1003) == [rows[1].id, rows[0].id][::-1]
    assert ids(status="failed") == []
    assert ids(start_date="2026-03-14", end_date="2026-03-14") == everything
    assert ids(end_date="2026-03-13") == []
    acted = exporting.ask(None, acting_for=shop.id, kind="payments", format="jsonl")
    assert exporting.done(acted).rows == 7


def test_rows_created_after_the_request_are_not_exported(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    (before,) = stored(platform, shop, 1)
    export_id = exporting.ask(shop, kind="payments", format="jsonl")
    stored(platform, shop, 1)
    (line,) = exporting.file(exporting.done(export_id)).splitlines()
    assert json.loads(line)["id"] == before.id


def test_csv_has_the_fields_of_the_list_and_no_formulas(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    formula = '=HYPERLINK("https://evil.example")'
    stored(platform, shop, 1, description=formula, metadata={"=1+1": "+2"})
    content = exporting.file(exporting.done(exporting.ask(shop, kind="payments")))
    columns, (row,) = table_of(content)
    (exact,) = exporting.made(shop, kind="payments")
    assert list(columns) == list(exact), "the documented fields, in their order"
    assert row["description"] == "'" + formula
    assert row["amount"] == "1000"
    assert json.loads(row["metadata"]) == {"=1+1": "+2"}
    assert exact["description"] == formula


def test_an_export_without_rows_still_has_a_file(platform: Platform, exporting: Exporting) -> None:
    shop = platform.merchant()
    for format_, content in (("jsonl", b""), ("csv", None)):
        export = exporting.done(exporting.ask(shop, kind="payments", format=format_))
        assert export.rows == 0
        reported = exporting.file(export)
        assert reported == content or reported.count(b"\r\n") == 1


def test_transactions_transfers_entries_and_audit_rows_of_a_merchant(
    platform: Platform, exporting: Exporting
) -> None:
    shop, other = platform.merchant(), platform.merchant()
    paid = [platform.paid(shop, amount=1000 + n) for n in range(3)]
    platform.paid(other)
    platform.operate(shop, paid[0], "refund", amount=10)
    transactions = exporting.made(shop, kind="transactions")
    assert [row["payment_id"] for row in transactions] == [paid[2], paid[1], paid[0], paid[0]]
    refunds = exporting.made(shop, kind="transactions", payment_id=paid[0], status="succeeded")
    assert [row["type"] for row in refunds] == ["capture", "refund"]
    processor_id = refunds[1]["processor_id"]
    (refund,) = exporting.made(shop, kind="transactions", processor_id=processor_id)
    assert refund == refunds[1]
    transfers = exporting.made(shop, kind="transfers")
    assert len(transfers) == 4
    assert all(row["merchant_id"] == shop.id for row in transfers)
    assert exporting.made(shop, kind="audit") == []
    assert exporting.made(shop, kind="entries") == []


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda e, shop, other: e.ask(shop, kind="payments", account_id="acc_1"), InvalidValue),
        (lambda e, shop, other: e.ask(shop, kind="payments", status="gone"), InvalidValue),
        (lambda e, shop, other: e.ask(shop, kind="payments", format="beancount"), InvalidValue),
        (
            lambda e, shop, other: e.ask(shop, kind="payments", start_date="2026-02-30"),
            InvalidValue,
        ),
        (lambda e, shop, other: e.ask(None, kind="payments"), InvalidValue),
        (
            lambda e, shop, other: e.ask(shop, kind="payments", acting_for=other.id),
            Forbidden,
        ),
        (
            lambda e, shop, other: e.ask(
                shop, kind="payments", customer_id=e.platform.customer(other)
            ),
            NotFound,
        ),
        (
            lambda e, shop, other: e.ask(
                shop, kind="transactions", payment_id=e.platform.paid(other)
            ),
            NotFound,
        ),
        (
            lambda e, shop, other: e.ask(shop, kind="entries", account_id="acc_clearing_USD"),
            NotFound,
        ),
    ],
)
def test_an_invalid_export_is_refused_at_once(
    platform: Platform,
    exporting: Exporting,
    ask: Callable[[Exporting, MerchantProfile, MerchantProfile], str],
    error: type[Exception],
) -> None:
    shop, other = platform.merchant(), platform.merchant()
    with pytest.raises(error):
        ask(exporting, shop, other)


def test_an_unknown_filter_is_refused_with_the_known_ones(
    platform: Platform, exporting: Exporting
) -> None:
    with pytest.raises(InvalidValue, match="use payment_id, processor_id, status") as said:
        exporting.ask(platform.merchant(), kind="transactions", min_amount=1)
    assert said.value.param == "min_amount"


def test_a_repeated_request_returns_the_same_export(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    first = exporting.ask(shop, key="k", kind="payments")
    assert exporting.ask(shop, key="k", kind="payments") == first


def test_open_exports_per_owner_are_limited_and_a_repetition_does_not_count(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    first, *others = [exporting.ask(shop, key=str(n), kind="payments") for n in range(MAX_OPEN)]
    with pytest.raises(TooManyExports, match=f"^{MAX_OPEN} exports are queued"):
        exporting.ask(shop, kind="payments")
    assert exporting.ask(shop, key="0", kind="payments") == first
    exporting.ask(platform.merchant(), kind="payments")
    exporting.done(others[0])
    exporting.ask(shop, kind="payments")


def test_an_export_of_another_merchants_settlement_or_entity_fails_without_rows(
    platform: Platform, exporting: Exporting
) -> None:
    shop = platform.merchant()
    for body in (
        {"kind": "settlement_lines", "settlement_id": "set_of_another"},
        {"kind": "audit", "entity_id": "pay_of_another"},
    ):
        export_id = exporting.ask(shop, **body)
        exporting.turn(export_id)
        export = exporting.row(export_id)
        assert export.status is ExportStatus.FAILED
        assert export.failure_reason is not None
        assert export.failure_reason.startswith("No such ")
    assert not any(key.endswith(".csv") for key in exporting.s3.objects)
    assert isinstance(exporting.s3, FakeUploads)


def test_an_emulated_s3_accepts_the_same_uploads_as_the_fake(ministack_engine: Engine) -> None:
    s3 = ministack_engine.client("s3")
    bucket = f"exports-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    files = ExportFiles(s3, bucket)
    key, whole = "exports/mer_1/exp_1/export.jsonl", [b"x" * 5 * 1024 * 1024, b"y" * 10]
    upload = files.begin(key, ExportFormat.JSONL)
    # The part number in between was reserved for the replaced worker, which sends it late.
    parts = [files.upload(key, upload, n, part) for n, part in zip((1, 3), whole, strict=True)]
    files.upload(key, upload, 2, b"late")
    files.complete(key, upload, parts)
    files.complete(key, upload, parts)
    assert files.size(key) == sum(map(len, whole))
    assert files.sha256(key) == hashlib.sha256(b"".join(whole)).hexdigest()
    files.put_empty(f"{key}.empty", ExportFormat.JSONL)
    files.put_empty(f"{key}.empty", ExportFormat.JSONL)
    files.leave(f"{key}.tail", b"tail")
    assert (files.size(f"{key}.empty"), files.left(f"{key}.tail")) == (0, b"tail")
