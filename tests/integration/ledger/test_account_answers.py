"""Answers of the account routes and lists, through the deployed functions on real engines."""

from __future__ import annotations

import pytest

from runtime.ledger.accounts.models import Account
from tests.support.http import OPERATOR
from tests.support.stages.running_stage import Stage
from tests.support.teller import Teller, key, order


@pytest.fixture(scope="module")
def teller(stage: Stage) -> Teller:
    return Teller(stage)


# ------------------------------------------------------------ accounts


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [("JPY", 1234, "1234 JPY"), ("USD", 1234, "12.34 USD"), ("KWD", 1234, "1.234 KWD")],
)
def test_an_opening_balance_is_a_transfer(
    teller: Teller, currency: str, minor: int, text: str
) -> None:
    body = {
        "account_type": "savings",
        "currency": currency,
        "opening_balance": minor,
        "merchant_id": teller.shop,
    }
    same = key()
    made = teller.post("/v1/accounts", body, who=OPERATOR, headers=same)
    assert (made.status, made.body["formatted_balance"]) == (201, text)
    assert teller.post("/v1/accounts", body, who=OPERATOR, headers=same).text == made.text
    keyless = teller.post("/v1/accounts", body, who=OPERATOR, headers={"x": "y"})
    assert (keyless.status, keyless.body["code"]) == (400, "missing_idempotency_key")
    mine = {name: value for name, value in body.items() if name != "merchant_id"}
    assert teller.post("/v1/accounts", mine).status == 403
    opening = [
        row
        for row in teller.get("/v1/transfers", "limit=100")["data"]
        if row["to_account_id"] == made.body["id"]
    ]
    assert [row["from_account_id"] for row in opening] == [f"acc_opening_{currency}"]


def test_an_account_is_closed_only_at_zero_and_permanently(teller: Teller) -> None:
    a, b = teller.account(10), teller.account()
    full = teller.post(f"/v1/accounts/{a}/close", who=OPERATOR)
    assert (full.status, full.body["code"]) == (409, "balance_not_zero")
    held = teller.transfer(order(a, b, 10, hold=True)).body["id"]
    coming = teller.post(f"/v1/accounts/{b}/close", who=OPERATOR)
    assert (coming.status, coming.body["code"]) == (409, "open_holds")
    assert teller.post(f"/v1/transfers/{held}/post").status == 200
    same = key()
    closed = teller.post(f"/v1/accounts/{a}/close", who=OPERATOR, headers=same)
    assert (closed.status, closed.body["status"]) == (200, "closed")
    assert teller.post(f"/v1/accounts/{a}/close", who=OPERATOR, headers=same).text == closed.text
    for action in ("activate", "deactivate"):
        assert teller.post(f"/v1/accounts/{a}/{action}", who=OPERATOR).status == 409


def test_an_account_is_deactivated_and_activated(teller: Teller) -> None:
    a, b = teller.account(10), teller.account()
    asleep = teller.post(f"/v1/accounts/{a}/deactivate", who=OPERATOR)
    assert (asleep.body["status"], asleep.body["version"]) == ("inactive", 2)
    awake = teller.post(f"/v1/accounts/{a}/activate", who=OPERATOR)
    assert (awake.status, awake.body["status"]) == (200, "active")
    assert teller.transfer(order(a, b, 10)).status == 201


def test_accounts_are_listed_by_customer_and_by_status_and_type(teller: Teller) -> None:
    customer = teller.post("/v1/customers", {"name": "J", "email": "j@example.com"}).body["id"]
    made = [teller.account(customer_id=customer, account_type="checking") for _ in range(5)]
    teller.post(f"/v1/accounts/{made[0]}/deactivate", who=OPERATOR)
    for query, expected in (
        (f"customer_id={customer}", made[::-1]),
        (f"customer_id={customer}&status=active", made[:0:-1]),
        ("status=active&account_type=checking", made[:0:-1]),
        ("status=inactive&account_type=checking", made[:1]),
    ):
        found: list[str] = []
        cursor = ""
        while True:
            page = teller.get("/v1/accounts", f"{query}&limit=2{cursor}")
            found += [row["id"] for row in page["data"]]
            if not page["has_more"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == expected, query
    seen = teller.get("/v1/accounts", f"customer_id={customer}", who=OPERATOR)["data"]
    assert [row["id"] for row in seen] == made[::-1], "an operator sees any customer's accounts"
    for query in ("", "status=active", "account_type=wallet"):
        answer = teller.stage.api("GET", "/v1/accounts", query=query, authorizer=teller.who)
        assert answer.status == 422


def test_transfers_are_listed_by_customer_and_by_status(teller: Teller) -> None:
    customer = teller.post("/v1/customers", {"name": "J", "email": "k@example.com"}).body["id"]
    a, b = teller.account(100), teller.account()
    made = [
        teller.transfer(order(a, b, amount, customer_id=customer)).body for amount in (1, 2, 999, 3)
    ]
    ids = [each.get("id") or each["transfer_id"] for each in made]
    listed = teller.get("/v1/transfers", f"customer_id={customer}")["data"]
    assert [row["id"] for row in listed] == ids[::-1]
    processed = teller.get("/v1/transfers", f"customer_id={customer}&status=processed")["data"]
    assert [row["amount"] for row in processed] == [3, 2, 1]
    mine = teller.get("/v1/transfers", f"merchant_id={teller.shop}&limit=4", who=OPERATOR)
    assert [row["id"] for row in mine["data"]] == ids[::-1]
    tampered = teller.stage.api(
        "GET",
        "/v1/transfers",
        query=f"cursor={mine['next_cursor']}x",
        authorizer=teller.who,
    )
    assert (tampered.status, tampered.body["code"]) == (400, "bad_cursor")


def test_stored_rows_have_the_fields_that_entries_and_verification_need(
    teller: Teller, stage: Stage
) -> None:
    a, b = teller.account(100), teller.account()
    done = teller.transfer(order(a, b, 40)).body["id"]
    for account_id, spendable in ((a, 60), (b, 40)):
        item = stage.dynamodb.get_item(
            TableName=stage.tables["accounts"],
            Key={"id": {"S": account_id}, "shard": {"S": "00"}},
            ConsistentRead=True,
        )["Item"]
        assert set(item) <= set(Account.model_fields)
        assert item["last_operation_id"]["S"] == item["cause"]["S"] == done
        assert (item["version"]["N"], item["spendable"]["N"]) == ("2", str(spendable))


def test_the_list_of_keys_has_the_resource_of_each_request_even_if_refused(
    teller: Teller,
) -> None:
    rich, poor = teller.account(100), teller.account()
    usd = {"from_account_id": rich, "to_account_id": poor, "currency": "USD"}
    hold = teller.transfer({**usd, "amount": 60, "hold": True}, headers=key("hold")).body["id"]
    assert teller.post(f"/v1/transfers/{hold}/post", headers=key("post")).status == 200
    refused = teller.transfer({**usd, "amount": 60}, headers=key("refused"))
    assert refused.status == 422
    rows = teller.get("/v1/idempotency-keys")["data"]
    mine = [row for row in rows if row["key"] in ("hold", "post", "refused")]
    failed = teller.get("/v1/transfers", "status=failed")["data"][0]["id"]
    assert [(row["key"], row["status_code"], row["resource_id"]) for row in mine] == [
        ("refused", 422, failed),
        ("post", 200, hold),
        ("hold", 201, hold),
    ]
    assert mine[1]["path"] == f"/v1/transfers/{hold}/post"
