"""Settlement routes in this process: upload links, lists, reports, and permissions."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest

from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.record import Record
from runtime.http.card_data import find_card_data
from runtime.reconciliation.reports.report import MAX_REPORT_LINES
from runtime.reconciliation.settlements.line_keys import (
    exception_bucket,
    exception_key,
    line_partition,
)
from runtime.reconciliation.settlements.models import (
    LineStatus,
    LineType,
    Resolution,
    ResolutionAction,
    Settlement,
    SettlementFormat,
    SettlementLine,
    SettlementStatus,
)
from tests.support.http import (
    OPERATOR,
    Answered,
    Functions,
    token_of,
)
from tests.support.outside import new_id
from tests.support.stages.moto_stage import functions_on_moto

PATH = "/v1/settlement-files"
FILE = {"name": "2026-03-15.csv"}
SHA256 = hashlib.sha256(b"a file").hexdigest()


@pytest.fixture(scope="module")
def api() -> Iterator[Functions]:
    with functions_on_moto() as made:
        yield made


@pytest.fixture
def shop(api: Functions) -> str:
    answer = api("POST", "/v1/merchants", {"name": "Shop", "email": "shop@example.com"})
    identifier: str = answer.body["id"]
    return identifier


def announce(api: Functions, merchant: str, body: Any = None, **more: Any) -> Answered:
    who = token_of(merchant, "merchant reports")
    return api("POST", PATH, body or FILE, **{"authorizer": who, **more})


def test_an_announced_file_has_a_link_signed_for_its_own_key(api: Functions, shop: str) -> None:
    answer = announce(api, shop)
    assert answer.status == 201, answer.text
    body = answer.body
    assert body["status"] == "received"
    assert body["key"] == f"reconciliation/{shop}/{body['id']}/2026-03-15.csv"
    assert body["expires_at"] == body["upload_expires_at"]
    assert body["upload_headers"] == {}
    assert body["requested_by"] == "user"
    url = urlsplit(body["upload_url"])
    assert url.scheme == "https"
    assert unquote(url.path) == f"/bucket/{body['key']}"
    query = parse_qs(url.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-SignedHeaders"] == ["host"]


def test_a_checksum_is_part_of_the_signature(api: Functions, shop: str) -> None:
    body = announce(api, shop, {**FILE, "sha256": SHA256.upper()}).body
    checksum = base64.b64encode(bytes.fromhex(SHA256)).decode()
    assert body["upload_headers"] == {"x-amz-checksum-sha256": checksum}
    (signed,) = parse_qs(urlsplit(body["upload_url"]).query)["X-Amz-SignedHeaders"]
    assert signed == "host;x-amz-checksum-sha256"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "must not be empty"),
        ("   ", "the file's name"),
        ("a/b.csv", "not a path"),
        ("a\\b.csv", "not a path"),
        (".hidden", "not begin with a dot"),
        ("..", "not begin with a dot"),
        ("a\nb.csv", "control characters"),
        ("a\u202eb.csv", "invisible characters"),
        ("a\u2028.csv", "line breaks"),
        ("x" * 201, "at most 200 characters"),
    ],
)
def test_an_invalid_file_name_is_refused_with_the_reason(
    api: Functions, shop: str, name: str, why: str
) -> None:
    answer = announce(api, shop, {"name": name})
    assert (answer.status, answer.body["param"]) == (422, "name")
    assert why in answer.body["detail"]


@pytest.mark.parametrize("name", ["päyout März.csv", "x" * 200, "a..b", "100%.csv", "'; --.csv"])
def test_ordinary_file_names_are_accepted(api: Functions, shop: str, name: str) -> None:
    body = announce(api, shop, {"name": name}).body
    assert body["name"] == name
    assert unquote(urlsplit(body["upload_url"]).path).endswith(f"/{body['id']}/{name}")


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, SHA256 + "00", 1])
def test_a_malformed_checksum_is_refused(api: Functions, shop: str, sha256: Any) -> None:
    answer = announce(api, shop, {**FILE, "sha256": sha256})
    assert (answer.status, answer.body["param"]) == (422, "sha256")


def test_a_repeated_request_creates_one_file(api: Functions, shop: str) -> None:
    key = {"idempotency-key": "once"}
    first, again = (announce(api, shop, headers=key) for _ in range(2))
    assert first.text == again.text
    other = announce(api, shop, {"name": "other.csv"}, headers=key)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    listed = api("GET", PATH, authorizer=token_of(shop, "reports")).body["data"]
    assert [row["id"] for row in listed] == [first.body["id"]]


def test_files_are_listed_by_status_newest_first_and_in_pages(api: Functions, shop: str) -> None:
    made = [announce(api, shop).body["id"] for _ in range(3)]
    who = token_of(shop, "reports")
    for status in ("", "&status=received"):
        first = api("GET", PATH, query=f"limit=2{status}", authorizer=who).body
        assert [row["id"] for row in first["data"]] == made[:0:-1]
        query = f"limit=2&cursor={first['next_cursor']}{status}"
        second = api("GET", PATH, query=query, authorizer=who).body
        assert [row["id"] for row in second["data"]] == made[:1]
        assert not second["has_more"]
    rejected = api("GET", PATH, query="status=rejected", authorizer=who).body
    assert rejected["data"] == []
    shown = api("GET", f"{PATH}/{made[0]}", authorizer=who).body
    assert shown["progress"] == {"chunks": 0, "chunks_done": 0, "lines": 0}
    assert "upload_url" not in shown


def test_another_merchants_file_is_not_found(api: Functions, shop: str) -> None:
    file_id = announce(api, shop).body["id"]
    stranger = api("POST", "/v1/merchants", {"name": "B", "email": "b@example.com"}).body["id"]
    who = token_of(stranger, "reports merchant")
    assert api("GET", f"{PATH}/{file_id}", authorizer=who).status == 404
    assert api("GET", PATH, authorizer=who).body["data"] == []
    body = {**FILE, "merchant_id": shop}
    assert api("POST", PATH, body, authorizer=who).status == 403


def test_announcing_files_needs_the_permission_merchant(api: Functions, shop: str) -> None:
    for permissions in ("reports", "payments transfers accounts", ""):
        who = token_of(shop, permissions)
        assert announce(api, shop, authorizer=who).status == 403
    assert api("GET", PATH, authorizer=token_of(shop, "merchant payments")).status == 403


def test_an_operator_announces_only_for_an_existing_merchant(api: Functions, shop: str) -> None:
    made = api("POST", PATH, {**FILE, "merchant_id": shop}, authorizer=OPERATOR)
    assert made.status == 201
    assert made.body["merchant_id"] == shop
    assert api("GET", f"{PATH}/{made.body['id']}").status == 200
    unnamed = api("POST", PATH, FILE, authorizer=OPERATOR)
    assert (unnamed.status, unnamed.body["param"]) == (422, "merchant_id")
    unknown = {**FILE, "merchant_id": "mer_00000000000000000000000000"}
    assert api("POST", PATH, unknown, authorizer=OPERATOR).status == 404


def test_no_checksum_is_mistaken_for_a_card_number() -> None:
    for number in range(2_000):
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        assert find_card_data({**FILE, "sha256": digest}) is None, digest


def store(row: Record) -> None:
    """A row as an engine would hold it; tables have their schema's names."""
    item = Codec(NoCipher()).to_item(row)
    boto3.client("dynamodb").put_item(TableName=type(row).table_schema.name, Item=item)


def settled(merchant: str, **changes: Any) -> Settlement:
    now = "2026-03-15T10:00:00.000Z"
    values: dict[str, Any] = {
        "id": new_id("set", datetime.now(UTC)),
        "merchant_id": merchant,
        "date": "2026-03-15",
        "status": SettlementStatus.COMPLETED,
        "format": SettlementFormat.STRIPE,
        "payout_reference": "po_1",
        "source": "po.csv",
        "sha256": SHA256,
        "changed_by": "reconcile",
        "request_id": "r",
        "cause": "c",
        "created_at": now,
        "updated_at": now,
        **changes,
    }
    settlement = Settlement(**values)
    store(settlement)
    return settlement


def put_lines(settlement: Settlement, lines: dict[int, LineStatus], **changes: Any) -> None:
    for number, status in lines.items():
        values = {
            **settlement.model_dump(include=set(Record.model_fields)),
            "settlement_bucket": line_partition(settlement.id, number),
            "line": number,
            "settlement_id": settlement.id,
            "status": status,
            "type": LineType.CAPTURE if number % 2 else LineType.REFUND,
            "amount": 1000,
            "fee": 59,
            "net": 941,
            "currency": "USD",
            **changes,
        }
        store(SettlementLine(**values))


def test_settlements_are_listed_by_status_and_by_day(api: Functions, shop: str) -> None:
    for day, status in (
        ("2014-12-31", SettlementStatus.COMPLETED),
        ("2026-03-14", SettlementStatus.COMPLETED_WITH_EXCEPTIONS),
        ("2026-03-15", SettlementStatus.COMPLETED),
    ):
        settled(shop, date=day, status=status)
    who = token_of(shop, "reports")

    def days(query: str) -> list[str]:
        answer = api("GET", "/v1/settlements", query=query, authorizer=who)
        assert answer.status == 200, answer.text
        return [row["date"] for row in answer.body["data"]]

    assert days("") == ["2026-03-15", "2026-03-14", "2014-12-31"]
    assert days("status=completed") == ["2026-03-15", "2014-12-31"]
    assert days("start_date=2026-03-14") == ["2026-03-15", "2026-03-14"]
    assert days("end_date=2026-03-14") == ["2026-03-14", "2014-12-31"]
    assert days("start_date=2026-03-14&end_date=2026-03-14T12:00:00Z") == ["2026-03-14"]
    assert days("start_date=2026-03-14&status=completed") == ["2026-03-15"]
    wrong = api("GET", "/v1/settlements", query="start_date=2026-02-30", authorizer=who)
    assert (wrong.status, wrong.body["param"]) == (422, "start_date")
    turned = "start_date=2026-03-15&end_date=2026-03-14"
    assert api("GET", "/v1/settlements", query=turned, authorizer=who).status == 422


def test_lines_are_listed_by_status_and_by_type(api: Functions, shop: str) -> None:
    settlement = settled(shop, line_buckets=(1, 0))
    put_lines(settlement, {3: LineStatus.MATCHED, 4: LineStatus.MISSING, 1001: LineStatus.MISSING})
    path, who = f"/v1/settlements/{settlement.id}/lines", token_of(shop, "reports")
    for query, numbers in (
        ("", [3, 4, 1001]),
        ("status=missing", [4, 1001]),
        ("type=capture", [3, 1001]),
        ("type=capture&status=missing", [1001]),
        ("type=payout", []),
    ):
        found = api("GET", path, query=query, authorizer=who).body["data"]
        assert [row["line"] for row in found] == numbers, query


def test_a_report_is_a_page_and_a_csv_by_signed_links(api: Functions, shop: str) -> None:
    settlement = settled(
        shop,
        line_buckets=(0,),
        counts={LineStatus.MATCHED: 1, LineStatus.AMOUNT_MISMATCH: 2},
        open_exceptions=1,
    )
    put_lines(settlement, {2: LineStatus.MATCHED, 3: LineStatus.AMOUNT_MISMATCH})
    resolution = Resolution(
        action=ResolutionAction.ACCEPT, note="=2+3", by="ada", at=settlement.created_at
    )
    put_lines(settlement, {4: LineStatus.AMOUNT_MISMATCH}, resolution=resolution)
    path = f"/v1/settlements/{settlement.id}/report"
    answer = api("GET", path, authorizer=token_of(shop, "reports"))
    assert answer.status == 200, answer.text
    base = f"reports/{shop}/{settlement.id}/v1"
    for member, ending in (("url", "html"), ("csv_url", "csv")):
        url = urlsplit(answer.body[member])
        assert url.path == f"/bucket/{base}.{ending}"
        assert parse_qs(url.query)["X-Amz-Expires"] == ["900"]
    page = boto3.client("s3").get_object(Bucket="bucket", Key=f"{base}.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    text = page["Body"].read().decode()
    assert "Open exceptions (1)" in text
    assert "Resolved exceptions (1)" in text
    assert ">Shop, 2026-03-15<" in text
    lines = boto3.client("s3").get_object(Bucket="bucket", Key=f"{base}.csv")["Body"].read()
    rows = list(csv.DictReader(io.StringIO(lines.decode())))
    assert [row["line"] for row in rows] == ["2", "3", "4"]
    assert [row["resolution_note"] for row in rows] == ["", "", "'=2+3"]


def test_a_report_of_too_many_lines_has_no_csv_but_shows_its_exceptions(
    api: Functions, shop: str
) -> None:
    counts = {LineStatus.MATCHED: MAX_REPORT_LINES, LineStatus.INVALID: 150}
    settlement = settled(shop, counts=counts, open_exceptions=101)
    for number in range(101):
        put_lines(
            settlement,
            {number: LineStatus.INVALID},
            exception_bucket=exception_bucket(shop, settlement.id, number, 1),
            exception_key=exception_key(LineStatus.INVALID, settlement.date, settlement.id, number),
            reason=f"no. {number}.",
        )
    path = f"/v1/settlements/{settlement.id}/report"
    answer = api("GET", path, authorizer=token_of(shop, "reports"))
    assert answer.body["csv_url"] is None
    key = f"reports/{shop}/{settlement.id}/v1.html"
    text = boto3.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read().decode()
    assert [text.count(f": no. {number}.<") for number in range(101)] == [1] * 101
    assert "Resolved exceptions (49)" in text
    assert "Shown here: 0." in text


def test_another_merchants_settlement_is_never_shown(api: Functions, shop: str) -> None:
    settlement = settled("mer_other", line_buckets=(0,))
    who = token_of(shop, "reports")
    for path in ("", "/lines", "/report"):
        answer = api("GET", f"/v1/settlements/{settlement.id}{path}", authorizer=who)
        assert answer.status == 404, path
        lacking = token_of("mer_other", "payments merchant")
        answer = api("GET", f"/v1/settlements/{settlement.id}{path}", authorizer=lacking)
        assert answer.status == 403, path


def test_an_expired_unused_link_says_what_to_do(api: Functions, shop: str) -> None:
    made = announce(api, shop).body
    file = boto3.client("dynamodb").get_item(
        TableName="settlement_files", Key={"id": {"S": made["id"]}}
    )["Item"]
    file["upload_expires_at"] = {"S": "2026-03-15T10:00:00.000Z"}
    boto3.client("dynamodb").put_item(TableName="settlement_files", Item=file)
    shown = api("GET", f"{PATH}/{made['id']}", authorizer=token_of(shop, "reports")).body
    assert shown["status"] == "received"
    assert shown["reason"].startswith("No upload was seen and the link ended at 2026-03-15")
