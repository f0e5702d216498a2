"""Answers of the transfer routes, through the deployed functions on real engines."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import OPERATOR, token_of
from tests.support.stages.running_stage import Stage
from tests.support.teller import Teller, key, order


@pytest.fixture(scope="module")
def teller(stage: Stage) -> Teller:
    return Teller(stage)


# ------------------------------------------------------------ success


def test_a_transfer_moves_money_and_its_answer_is_repeated_verbatim(teller: Teller) -> None:
    a, b = teller.account(1000), teller.account()
    same = key()
    body = order(a, b, 300, description="rent", metadata={"month": "11"})
    made = teller.transfer(body, headers=same)
    assert made.status == 201, made.text
    assert made.body["status"] == "processed"
    assert made.body["posted_amount"] == made.body["amount"] == 300
    assert (made.body["from_account_id"], made.body["to_account_id"]) == (a, b)
    again = teller.transfer(body, headers=same)
    assert (again.status, again.text) == (201, made.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (teller.see(a)["balance"], teller.see(b)["balance"]) == (700, 300)
    assert teller.get(f"/v1/transfers/{made.body['id']}") == made.body
    other = teller.transfer({**body, "amount": 1}, headers=same)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


def test_several_legs_are_netted_into_one_change_of_each_account(teller: Teller) -> None:
    a, b, c = teller.account(100), teller.account(0), teller.account(50)
    legs = [
        {"from_account_id": a, "to_account_id": b, "amount": 70},
        {"from_account_id": b, "to_account_id": c, "amount": 70},
        {"from_account_id": c, "to_account_id": a, "amount": 20},
    ]
    body = {"legs": legs, "currency": "USD", "expand": ["balances_after"]}
    made = teller.transfer(body)
    assert made.status == 201, made.text
    assert made.body["balances_after"] == {a: 50, b: 0, c: 100}
    assert [teller.see(each)["balance"] for each in (a, b, c)] == [50, 0, 100]
    assert teller.see(b)["version"] == 1, "a net of zero only checks the account"
    assert made.body["from_account_id"] is None


def test_a_dry_run_answers_and_changes_nothing(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    tried = teller.transfer(order(a, b, 60, dry_run=True))
    assert (tried.status, tried.body["amount"]) == (201, 60)
    assert teller.see(a)["balance"] == 100
    missing = teller.stage.api("GET", f"/v1/transfers/{tried.body['id']}", authorizer=teller.who)
    assert missing.status == 404
    short = teller.transfer(order(a, b, 160, dry_run=True))
    assert (short.status, short.body["code"]) == (422, "insufficient_funds")
    failed = teller.get("/v1/transfers", "status=failed&account_id=" + a)
    assert failed["data"] == []


def test_a_hold_is_posted_in_part_and_the_rest_is_released(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    held = teller.transfer(order(a, b, 80, hold=True, expires_in_seconds=60))
    assert (held.status, held.body["status"]) == (201, "pending")
    seen = teller.see(a)
    assert (seen["balance"], seen["held_out"], seen["available"]) == (100, 80, 20)
    assert (teller.see(b)["held_in"], teller.see(b)["available"]) == (80, 0)
    path = f"/v1/transfers/{held.body['id']}"
    over = teller.post(f"{path}/post", {"amount": 81})
    assert (over.status, over.body["code"]) == (422, "exceeds_hold")
    same = key()
    posted = teller.post(f"{path}/post", {"amount": 30}, headers=same)
    assert (posted.status, posted.body["status"], posted.body["posted_amount"]) == (
        200,
        "processed",
        30,
    )
    assert teller.post(f"{path}/post", {"amount": 30}, headers=same).text == posted.text
    seen = teller.see(a)
    assert (seen["balance"], seen["held_out"], seen["available"]) == (70, 0, 70)
    seen = teller.see(b)
    assert (seen["balance"], seen["held_in"], seen["available"]) == (30, 0, 30)
    for action in ("post", "cancel"):
        late = teller.post(f"{path}/{action}")
        assert (late.status, late.body["code"]) == (409, "already_posted")


def test_a_canceled_hold_releases_everything_and_stays_canceled(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    held = teller.transfer(order(a, b, 80, hold=True))
    path = f"/v1/transfers/{held.body['id']}"
    assert [row["id"] for row in teller.get("/v1/transfers", "status=pending")["data"]].count(
        held.body["id"]
    ) == 1
    canceled = teller.post(f"{path}/cancel")
    assert (canceled.status, canceled.body["status"]) == (200, "canceled")
    seen = teller.see(a)
    assert (seen["balance"], seen["held_out"], seen["available"]) == (100, 0, 100)
    assert teller.see(b)["held_in"] == 0
    for action in ("post", "cancel"):
        late = teller.post(f"{path}/{action}")
        assert (late.status, late.body["code"]) == (409, "already_canceled")


def test_an_expired_hold_can_only_be_released_by_the_schedule(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    held = teller.transfer(order(a, b, 80, hold=True, expires_in_seconds=3600))
    path = f"/v1/transfers/{held.body['id']}"
    assert teller.stage.api.expire_holds()["expired"] == 0
    teller.stage.dynamodb.update_item(
        TableName=teller.stage.tables["transfers"],
        Key={"id": {"S": held.body["id"]}},
        UpdateExpression="SET expires_at = :past",
        ExpressionAttributeValues={":past": {"S": "2026-01-01T00:00:00.000Z"}},
    )
    for action in ("post", "cancel"):
        late = teller.post(f"{path}/{action}")
        assert (late.status, late.body["code"]) == (409, "hold_expired")
    assert teller.stage.api.expire_holds()["expired"] == 1
    assert teller.get(path)["status"] == "expired"
    assert teller.see(a)["available"] == 100
    assert teller.stage.api.expire_holds()["due"] == 0


def test_a_hold_can_be_resolved_despite_the_lock_or_status_of_its_accounts(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    held = teller.transfer(order(a, b, 40, hold=True)).body["id"]
    teller.lock(a, "2999-01-01T00:00:00.000Z")
    for each in (a, b):
        assert teller.post(f"/v1/accounts/{each}/deactivate", who=OPERATOR).status == 200
    assert teller.post(f"/v1/transfers/{held}/post").status == 200
    assert (teller.see(a)["balance"], teller.see(b)["balance"]) == (60, 40)


# ------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, "invalid_value"),
        (-1, "invalid_value"),
        (1.5, "invalid_value"),
        ("10", "invalid_value"),
        (True, "invalid_value"),
        (None, "invalid_value"),
        (10**18, "amount_too_large"),
        (10**30, "amount_too_large"),
    ],
)
def test_an_amount_is_a_whole_number_of_minor_units(teller: Teller, amount: Any, code: str) -> None:
    a, b = teller.account(100), teller.account()
    answer = teller.transfer(order(a, b, amount))
    assert (answer.status, answer.body["code"], answer.body["param"]) == (422, code, "amount")
    assert teller.see(a)["version"] == 1


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"currency": None}, 422, "invalid_value", "currency"),
        ({"currency": ...}, 422, "invalid_value", "currency"),
        ({"currency": "ABC"}, 422, "invalid_value", "currency"),
        ({"currency": "usd"}, 422, "invalid_value", "currency"),
        ({"to_account_id": ...}, 422, "invalid_value", "to_account_id"),
        ({"amount": ...}, 422, "invalid_value", "amount"),
        ({"to_account_id": "acc_unknown"}, 404, "not_found", "to_account_id"),
        ({"from_account_id": "acc_unknown"}, 404, "not_found", "from_account_id"),
        ({"customer_id": "cus_unknown"}, 404, "not_found", "customer_id"),
        ({"description": "x" * 10_000}, 422, "invalid_value", "description"),
        ({"metadata": {"x": 1}}, 422, "invalid_value", "metadata.x"),
        ({"hold": "yes"}, 422, "invalid_value", "hold"),
        ({"expires_in_seconds": 60}, 422, "invalid_value", "expires_in_seconds"),
        ({"hold": True, "expires_in_seconds": 0}, 422, "invalid_value", "expires_in_seconds"),
        ({"expand": ["everything"]}, 422, "invalid_value", "expand.0"),
        ({"surprise": 1}, 400, "unknown_field", "surprise"),
        ({"merchant_id": "mer_x"}, 403, "forbidden", "merchant_id"),
    ],
)
def test_an_invalid_field_is_identified(
    teller: Teller, changes: dict[str, Any], status: int, code: str, param: str
) -> None:
    a, b = teller.account(100), teller.account()
    body = {k: v for k, v in {**order(a, b), **changes}.items() if v is not ...}
    answer = teller.transfer(body)
    assert (answer.status, answer.body["code"], answer.body.get("param")) == (status, code, param)
    assert teller.see(a)["balance"] == 100


def test_invalid_numbers_missing_bodies_and_missing_keys_are_bad_requests(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    raw = f'{{"from_account_id":"{a}","to_account_id":"{b}","amount":NaN,"currency":"USD"}}'
    assert teller.transfer(None, raw=raw).status == 400
    assert teller.transfer(None).status == 400
    keyless = teller.transfer(order(a, b), headers={"x": "y"})
    assert (keyless.status, keyless.body["code"]) == (400, "missing_idempotency_key")


def test_source_and_destination_must_differ(teller: Teller) -> None:
    a = teller.account(100)
    answer = teller.transfer(order(a, a))
    assert (answer.status, answer.body["code"]) == (422, "same_account")


def test_at_most_20_legs_are_accepted(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    leg = {"from_account_id": a, "to_account_id": b, "amount": 1}
    refused = teller.transfer({"legs": [leg] * 21, "currency": "USD"})
    assert (refused.status, refused.body["param"]) == (422, "legs")
    both = teller.transfer({**order(a, b), "legs": [leg]})
    assert both.status == 422
    done = teller.transfer({"legs": [leg] * 20, "currency": "USD"})
    assert (done.status, done.body["amount"]) == (201, 20)
    assert teller.see(b)["balance"] == 20


def test_the_total_of_the_legs_is_limited(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    leg = {"from_account_id": a, "to_account_id": b, "amount": 10**12}
    answer = teller.transfer({"legs": [leg, leg], "currency": "USD"})
    assert (answer.status, answer.body["code"]) == (422, "amount_too_large")


def test_insufficient_funds_report_the_available_amount_and_are_recorded(teller: Teller) -> None:
    a, b = teller.account(1000), teller.account()
    same = key()
    answer = teller.transfer(order(a, b, 2000), headers=same)
    assert (answer.status, answer.body["code"]) == (422, "insufficient_funds")
    assert "available 1000, requested 2000" in answer.body["detail"]
    again = teller.transfer(order(a, b, 2000), headers=same)
    assert (again.status, again.text) == (422, answer.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    failed = teller.get(f"/v1/transfers/{answer.body['transfer_id']}")
    assert (failed["status"], failed["failure_code"]) == ("failed", "insufficient_funds")
    assert failed["failure_reason"] == answer.body["detail"]
    listed = teller.get("/v1/transfers", "status=failed&limit=100")["data"]
    assert [row["id"] for row in listed].count(failed["id"]) == 1
    assert (teller.see(a)["balance"], teller.see(b)["balance"]) == (1000, 0)


def test_a_credit_limit_is_spendable(teller: Teller) -> None:
    a, b = teller.account(0, credit_limit=500), teller.account()
    assert teller.transfer(order(a, b, 500)).status == 201
    assert (teller.see(a)["balance"], teller.see(a)["available"]) == (-500, 0)
    assert teller.see(a)["formatted_balance"] == "-5.00 USD"
    assert teller.transfer(order(a, b, 1)).status == 422


@pytest.mark.parametrize("action", ["deactivate", "close"])
@pytest.mark.parametrize("side", ["from_account_id", "to_account_id"])
def test_inactive_and_closed_accounts_reject_transfers(
    teller: Teller, action: str, side: str
) -> None:
    a, b = teller.account(100 if side == "to_account_id" else 0), teller.account()
    asleep = a if side == "from_account_id" else b
    assert teller.post(f"/v1/accounts/{asleep}/{action}", who=OPERATOR).status == 200
    answer = teller.transfer(order(a, b))
    assert (answer.status, answer.body["code"]) == (422, "inactive_account")
    assert answer.body["param"] == side


def test_the_currency_must_match(teller: Teller) -> None:
    a, b = teller.account(100), teller.account(0, currency="JPY")
    answer = teller.transfer(order(a, b))
    assert (answer.status, answer.body["code"]) == (422, "currency_mismatch")
    assert answer.body["param"] == "to_account_id"


def test_a_locked_account_cannot_pay_until_the_lock_expires_or_is_removed(teller: Teller) -> None:
    a, b = teller.account(100), teller.account()
    teller.lock(a, "2999-01-01T00:00:00.000Z")
    same = key()
    answer = teller.transfer(order(a, b), headers=same)
    assert (answer.status, answer.body["code"]) == (423, "locked")
    assert teller.get(f"/v1/transfers/{answer.body['transfer_id']}")["failure_code"] == "locked"
    assert teller.transfer(order(b, a, 0 + 1)).status == 422, "funds: it may be credited"
    unlocked = teller.post(f"/v1/accounts/{a}/unlock", who=OPERATOR)
    assert (unlocked.status, unlocked.body["locked_until"]) == (200, None)
    assert teller.transfer(order(a, b), headers=same).status == 201, "the lock was not stored"
    teller.lock(b, "2020-01-01T00:00:00.000Z")
    assert teller.transfer(order(b, a, 5)).status == 201, "an expired lock has no effect"


# ------------------------------------------------------------ ownership


def test_another_tenants_accounts_are_not_found(teller: Teller, stage: Stage) -> None:
    stranger = Teller(stage)
    a, theirs = teller.account(100), stranger.account(100)
    for source, target in ((a, theirs), (theirs, a)):
        answer = teller.transfer(order(source, target, 1_000_000))
        assert (answer.status, answer.body["code"]) == (404, "not_found")
        assert theirs in answer.body["detail"]
    held = stranger.transfer(order(theirs, stranger.account(), 5, hold=True)).body["id"]
    for action in ("post", "cancel"):
        assert teller.post(f"/v1/transfers/{held}/{action}").status == 404
    for path in (f"/v1/transfers/{held}", f"/v1/accounts/{theirs}/entries"):
        assert stage.api("GET", path, authorizer=teller.who).status == 404
    answer = stage.api("GET", "/v1/transfers", query=f"account_id={theirs}", authorizer=teller.who)
    assert answer.status == 404


def test_platform_accounts_are_for_operators(teller: Teller) -> None:
    a = teller.account(100)
    for forbidden in (
        teller.account(account_type="system"),
        teller.account(account_type="merchant"),
        teller.account(posting="folded"),
    ):
        answer = teller.transfer(order(a, forbidden))
        assert (answer.status, answer.body["code"]) == (403, "forbidden")
        assert teller.transfer(order(a, forbidden), who=OPERATOR).status == 201


def test_an_operator_moves_money_between_any_accounts(teller: Teller, stage: Stage) -> None:
    other = Teller(stage)
    a, b = teller.account(100), other.account()
    done = teller.transfer(order(a, b, 40), who=OPERATOR)
    assert (done.status, done.body["merchant_id"]) == (201, "platform")
    acting = teller.transfer({**order(a, b, 40), "merchant_id": teller.shop}, who=OPERATOR)
    assert acting.status == 404, "acting for a merchant, both accounts must be the merchant's"
    assert teller.see(b)["balance"] == 40
    assert stage.api("GET", f"/v1/transfers/{done.body['id']}", authorizer=teller.who).status == 404


def test_without_the_permission_requests_are_not_parsed(teller: Teller) -> None:
    unauthorized = token_of(teller.shop, "payments accounts")
    assert teller.transfer({"nonsense": 1}, who=unauthorized).status == 403
    assert teller.post("/v1/transfers/trf_x/post", who=unauthorized).status == 403
    for action in ("deactivate", "activate", "unlock", "close"):
        assert teller.post(f"/v1/accounts/acc_x/{action}").status == 403
        assert teller.post(f"/v1/accounts/acc_x/{action}", who=OPERATOR).status == 404
