"""Merchants: conditional changes, rotated secrets, and what a merchant may not change."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.core.errors import StaleVersion
from runtime.core.timestamps import to_timestamp
from runtime.functions.composition.process_services import process_services
from runtime.merchants.api import MerchantPatch
from runtime.merchants.merchants import change_merchant
from runtime.merchants.models import MAX_PREVIOUS_SECRETS, Merchant
from runtime.merchants.repository import MerchantRepository
from tests.support.http import OPERATOR, Answered, token_of
from tests.support.platform import Platform
from tests.support.processors.stripe_proxy import StripeProxy
from tests.support.processors.stripe_rules import WRONG_KEY
from tests.support.stages.running_stage import Stage


def send(stage: Stage, method: str, path: str, body: Any = None, **more: Any) -> Answered:
    return stage.api(method, path, body, authorizer=more.pop("who", OPERATOR), **more)


def test_a_change_for_another_version_is_refused_and_one_without_a_version_applies(
    stage: Stage,
) -> None:
    shop = stage.shop()
    path = f"/v1/merchants/{shop['id']}"
    changes = {"name": "New", "features": ["b", "a"], "rate_limits": {"payments_per_day": 9}}
    changed = send(stage, "PATCH", path, {"version": 1, **changes})
    assert changed.status == 200
    assert (changed.body["version"], changed.body["features"]) == (2, ["a", "b"])
    assert changed.body == send(stage, "GET", path).body
    stale = send(stage, "PATCH", path, {"version": 1, "name": "Old"})
    assert (stale.status, stale.body["code"]) == (409, "stale_version")
    assert stale.body["param"] == "version"
    assert send(stage, "GET", path).body["version"] == 2
    assert send(stage, "PATCH", path, {"name": "X", "version": None}).status == 422
    assert send(stage, "PATCH", path, {"name": "Newer"}).body["version"] == 3
    assert send(stage, "PATCH", path, {"version": 3, "email": None}).status == 422


def test_reconciliation_settings_are_shown_and_replaced_as_a_whole(stage: Stage) -> None:
    shop = stage.shop(reconciliation={"tolerance_minor": 5})
    assert shop["reconciliation"] == {"tolerance_minor": 5, "sla_days": 7}
    change = {"version": 1, "reconciliation": {"sla_days": 3}}
    changed = send(stage, "PATCH", f"/v1/merchants/{shop['id']}", change)
    assert changed.body["reconciliation"] == {"tolerance_minor": 0, "sla_days": 3}


def test_of_concurrent_changes_to_one_version_exactly_one_wins(platform: Platform) -> None:
    merchant = platform.merchant()
    deps = platform.merchant_dependencies()

    def rename(name: str) -> bool:
        request = MerchantPatch(version=1, name=name)
        try:
            change_merchant(merchant.id, request, platform.call(merchant, {}), deps)
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(rename, "abcdefgh")) == 1
    assert [row.version for row in platform.rows(Merchant)] == [2]


def test_concurrent_changes_without_a_version_are_all_made(platform: Platform) -> None:
    merchant = platform.merchant()
    deps = platform.merchant_dependencies()

    def change(body: dict[str, Any]) -> int:
        request = MerchantPatch.model_validate_json(json.dumps(body))
        return change_merchant(merchant.id, request, platform.call(merchant, body), deps).version

    changes: list[dict[str, Any]] = [
        {"name": "New"},
        {"email": "new@example.com"},
        {"features": ["a"]},
        {"index_buckets": 2},
    ]
    with ThreadPoolExecutor(len(changes)) as pool:
        assert sorted(pool.map(change, changes)) == [2, 3, 4, 5]
    (row,) = platform.rows(Merchant)
    assert (row.name, row.email, row.index_buckets) == ("New", "new@example.com", 2)
    assert row.features == {"a"}


@pytest.mark.parametrize(
    "reserved",
    [
        {"rate_limits": {}},
        {"reconciliation": {"tolerance_minor": 1_000}},
        {"status": "active"},
        {"processor": "sandbox"},
        {"processor_config": {"api_key": "sk_mine", "webhook_secret": "a secret of my own"}},
        {"index_buckets": 4},
        {"merchant_id": "mer_other"},
    ],
)
def test_a_merchant_cannot_set_its_own_limits(stage: Stage, reserved: dict[str, Any]) -> None:
    shop = stage.shop()
    own = token_of(shop["id"], "merchant")
    path = f"/v1/merchants/{shop['id']}"
    refused = send(stage, "PATCH", path, {"version": 1, **reserved}, who=own)
    assert (refused.status, refused.body["param"]) == (403, next(iter(reserved)))
    assert send(stage, "PATCH", path, {"version": 1, "name": "Mine"}, who=own).status == 200


def test_changing_a_webhook_url_needs_the_permission_merchant(stage: Stage) -> None:
    shop = stage.shop()
    path = f"/v1/merchants/{shop['id']}"
    everything_else = "payments refunds customers accounts transfers reports"
    hook = {"version": 1, "webhook_url": "https://hooks.example.com/taken"}
    for lacking in ("reports", everything_else):
        who = token_of(shop["id"], lacking)
        assert send(stage, "PATCH", path, hook, who=who).status == 403
        assert send(stage, "POST", f"{path}/rotate-webhook-secret", {}, who=who).status == 403
    assert send(stage, "GET", path).body["version"] == 1
    assert send(stage, "PATCH", path, hook, who=token_of(shop["id"], "merchant")).status == 200


def test_buckets_only_grow_and_webhook_urls_must_be_allowed(stage: Stage) -> None:
    path = f"/v1/merchants/{stage.shop(index_buckets=4)['id']}"
    for wrong in ({"index_buckets": 2}, {"webhook_url": "https://10.0.0.1/hook"}):
        refused = send(stage, "PATCH", path, {"version": 1, **wrong})
        assert (refused.status, refused.body["param"]) == (422, next(iter(wrong)))
    hook = {"version": 1, "webhook_url": "https://hooks.example.com/x", "index_buckets": 8}
    assert send(stage, "PATCH", path, hook).body["webhook_url"] == hook["webhook_url"]
    gone = send(stage, "PATCH", path, {"version": 2, "webhook_url": None})
    assert gone.body["webhook_url"] is None


def test_an_inactive_merchant_cannot_take_payments(stage: Stage) -> None:
    shop = stage.shop()
    off = {"version": 1, "status": "inactive"}
    assert send(stage, "PATCH", f"/v1/merchants/{shop['id']}", off).status == 200
    sale = {"amount": 1, "currency": "USD", "payment_method": "tok_approved"}
    key = {"idempotency-key": "k"}
    who = token_of(shop["id"])
    refused = send(stage, "POST", "/v1/payments", sale, headers=key, who=who)
    assert refused.body["code"] == "inactive_merchant"


def test_a_webhook_secret_is_shown_once_and_the_previous_one_is_kept_for_a_day(
    stage: Stage,
) -> None:
    shop = stage.shop()
    path = f"/v1/merchants/{shop['id']}"
    key = {"idempotency-key": "rotate-1"}
    first = send(stage, "POST", f"{path}/rotate-webhook-secret", headers=key)
    assert first.status == 200
    assert first.body["webhook_secret"].startswith("whsec_")
    assert first.body["webhook_secret"] != shop["webhook_secret"]
    again = send(stage, "POST", f"{path}/rotate-webhook-secret", headers=key)
    assert again.text == first.text, "a lost answer is repeated, not rotated again"
    shown = send(stage, "GET", path)
    assert "secret" not in shown.text
    assert shown.body["version"] == 2
    own = token_of(shop["id"])
    second = send(stage, "POST", f"{path}/rotate-webhook-secret", who=own)
    assert second.body["version"] == 3
    items = stage.dynamodb.get_item(
        TableName=stage.tables["merchants"], Key={"id": {"S": shop["id"]}}
    )["Item"]
    assert {"webhook_secret", "previous_webhook_secrets"} <= set(items)
    text = repr(items)
    for secret in (shop["webhook_secret"], first.body["webhook_secret"]):
        assert secret not in text


def test_each_replaced_secret_signs_for_a_full_day(
    stage: Stage,
) -> None:
    shop = stage.shop()
    path = f"/v1/merchants/{shop['id']}"
    secrets = [shop["webhook_secret"]]
    for number in range(MAX_PREVIOUS_SECRETS):
        key = {"idempotency-key": f"rotate-{number}"}
        rotated = send(stage, "POST", f"{path}/rotate-webhook-secret", headers=key)
        assert rotated.status == 200
        secrets.insert(0, rotated.body["webhook_secret"])
    store = process_services().store
    endpoint = MerchantRepository(store).first_endpoint(shop["id"])
    assert endpoint is not None
    assert endpoint.secrets(to_timestamp(datetime.now(UTC))) == tuple(secrets)
    tomorrow = to_timestamp(datetime.now(UTC) + timedelta(hours=24, seconds=1))
    assert endpoint.secrets(tomorrow) == (secrets[0],)
    refused = send(stage, "POST", f"{path}/rotate-webhook-secret")
    assert (refused.status, refused.body["code"]) == (409, "secrets_still_sign")
    assert endpoint.previous_webhook_secrets[-1].until in refused.body["detail"]
    again = send(stage, "POST", f"{path}/rotate-webhook-secret", headers=key)
    assert again.text == rotated.text, "the answer of the last one was lost"
    assert send(stage, "GET", path).body["version"] == 1 + MAX_PREVIOUS_SECRETS


def test_a_leaked_secret_can_be_revoked_at_once_even_when_too_many_still_sign(stage: Stage) -> None:
    shop = stage.shop()
    path = f"/v1/merchants/{shop['id']}/rotate-webhook-secret"
    for _ in range(MAX_PREVIOUS_SECRETS):
        assert send(stage, "POST", path).status == 200
    refused = send(stage, "POST", path, {"revoke_old": False})
    assert refused.body["code"] == "secrets_still_sign"
    assert '"revoke_old": true' in refused.body["detail"]
    key = {"idempotency-key": "leaked"}
    own = token_of(shop["id"], "merchant")
    rotated = send(stage, "POST", path, {"revoke_old": True}, headers=key, who=own)
    assert rotated.status == 200, rotated.text
    endpoint = MerchantRepository(process_services().store).first_endpoint(shop["id"])
    assert endpoint is not None
    assert endpoint.secrets(to_timestamp(datetime.now(UTC))) == (rotated.body["webhook_secret"],)
    again = send(stage, "POST", path, {"revoke_old": True}, headers=key, who=own)
    assert again.text == rotated.text
    other = send(stage, "POST", path, {}, headers=key, who=own)
    assert other.body["code"] == "idempotency_key_reused"
    assert send(stage, "POST", path, {"revoke_old": "yes"}).body["param"] == "revoke_old"


def test_a_processor_configuration_is_never_returned(stage: Stage) -> None:
    shop = stage.shop(processor_config={"api_key": "sk_marked_one"})
    path = f"/v1/merchants/{shop['id']}"
    config = {"version": 1, "processor_config": {"api_key": "sk_marked_two"}}
    changed = send(stage, "PATCH", path, config)
    assert changed.status == 200
    assert "sk_marked" not in changed.text + send(stage, "GET", path).text + repr(shop)
    items = stage.dynamodb.scan(TableName=stage.tables["merchants"])["Items"]
    assert "sk_marked" not in repr(items)


def test_an_operator_moves_a_merchant_between_accounts_and_removes_the_old_one(
    stage: Stage,
) -> None:
    with StripeProxy("http://127.0.0.1:9", stage.stripe_port) as stripe:
        stripe.accounts |= {"sk_test_a": "acct_a", "sk_test_a_new": "acct_a"}
        keys = {"api_key": "sk_test_a", "webhook_secret": "whsec_of_stripe"}
        shop = stage.shop(processor="stripe", processor_config=keys)
        path = f"/v1/merchants/{shop['id']}"
        assert (shop["processor_account"], shop["processor"]) == ("acct_a", "stripe")
        newer = {"version": 1, "processor_config": {"api_key": "sk_test_a_new"}}
        assert send(stage, "PATCH", path, newer).body["processor_account"] == "acct_a"
        refused = send(
            stage, "PATCH", path, {"version": 2, "processor_config": {"api_key": WRONG_KEY}}
        )
        assert (refused.status, refused.body["param"]) == (422, "processor_config")
        assert WRONG_KEY not in refused.text
        live = {"version": 2, "processor_config": {"api_key": "sk_live_x"}}
        assert send(stage, "PATCH", path, live).body["code"] == "processor_mode"
        other = {"version": 2, "processor": "sandbox", "processor_config": {}}
        assert send(stage, "PATCH", path, other).body["processor_account"] == "sandbox"
    back = {"version": 3, "processor": "stripe", "processor_config": keys}
    assert send(stage, "PATCH", path, back).status == 503
    accounts = f"{path}/processor-accounts"
    for method, where in (("GET", accounts), ("DELETE", f"{accounts}/acct_a")):
        assert send(stage, method, where, who=token_of(shop["id"], "merchant")).status == 403
    listed = send(stage, "GET", accounts).body["data"]
    assert [(each["account"], each["left_at"] is None) for each in listed] == [
        ("sandbox", True),
        ("acct_a", False),
    ]
    in_use = send(stage, "DELETE", f"{accounts}/sandbox")
    assert (in_use.status, in_use.body["code"]) == (409, "processor_in_use")
    assert send(stage, "DELETE", f"{accounts}/acct_a").status == 204
    assert send(stage, "DELETE", f"{accounts}/acct_a").status == 404
    assert len(send(stage, "GET", accounts).body["data"]) == 1
    assert send(stage, "GET", path).body["version"] == 4


def test_another_merchant_is_not_found(stage: Stage) -> None:
    shop, other = stage.shop(), stage.shop()
    path, who = f"/v1/merchants/{shop['id']}", token_of(other["id"])
    assert send(stage, "GET", path, who=who).status == 404
    assert send(stage, "PATCH", path, {"version": 1, "name": "X"}, who=who).status == 404
    assert send(stage, "POST", f"{path}/rotate-webhook-secret", who=who).status == 404
