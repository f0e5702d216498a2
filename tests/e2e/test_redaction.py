"""Secrets stay secret: marked values are sent in every field, then everything written is searched.

Names, addresses and telephone numbers may be seen in their own merchant's answers and nowhere else;
a webhook secret and an API key in the one answer that made them; tokens, processor settings, card
numbers and bearer tokens nowhere at all.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from local.api_client import ApiClient, Reply
from local.auth import MERCHANT_PERMISSIONS
from local.emulator.cdk import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY
from tests.e2e.conftest import Deployment, Shop
from tests.support.processors.stripe_proxy import StripeProxy

pytestmark = pytest.mark.emulator("it reads the functions' logs, and stands in for Stripe")

CARD = "4539 1488 0343 6467"
PLAIN_CARD = CARD.replace(" ", "")
SETTLE_SECONDS = 3.0
"""Streams and logs of the local stage are written within this time."""


def marked(kind: str) -> str:
    return f"{kind}{uuid4().hex}"


@dataclass
class Story:
    """Everything that was sent and received."""

    control: str = field(default_factory=lambda: marked("harmless"))
    personal: list[str] = field(default_factory=list)
    secret: list[str] = field(default_factory=list)
    shown_once: dict[str, int] = field(default_factory=dict)
    answers: list[tuple[str, Reply]] = field(default_factory=list)

    def heard(self, what: str, reply: Reply) -> Any:
        self.answers.append((what, reply))
        return json.loads(reply.text) if reply.text else None


class Teller:
    """Sends, and remembers every answer."""

    def __init__(self, story: Story, client: ApiClient) -> None:
        self._story, self._client = story, client

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        headers = {"Idempotency-Key": options.pop("key", uuid4().hex), **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        reply = self._client.send(method, path, headers=headers, **options)
        return self._story.heard(f"{method} {path}", reply)


@pytest.fixture(scope="module")
def stripe(deployment: Deployment) -> Iterator[StripeProxy]:
    """Only identifies the owner of a key: nothing is charged there."""
    with StripeProxy("http://127.0.0.1:9", deployment.stripe_port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def story(deployment: Deployment, stripe: StripeProxy) -> Story:
    story = Story()
    operator = Teller(story, deployment.operator)
    webhook_secret = "whsec_" + base64.b64encode(uuid4().bytes * 2).decode()
    config = marked("config")
    story.secret.append(config)
    made = operator(
        "POST",
        "/v1/merchants",
        {
            "name": "Redacted",
            "email": f"{uuid4().hex}@shops.example",
            "processor_config": {"api_key": config, "deep": [{"er": config}]},
            "webhook_secret": webhook_secret,
        },
    )
    story.shown_once[webhook_secret] = 1
    shop = Shop(made["id"], deployment.client(made["id"], *MERCHANT_PERMISSIONS))
    _secrets_of_the_merchant(story, operator, made["id"])
    _people(story, Teller(story, shop.client))
    _payments(story, Teller(story, shop.client))
    _what_is_refused(story, Teller(story, shop.client))
    _machine_client(story, operator, deployment, made["id"])
    bearer = deployment.bearer(made["id"], *MERCHANT_PERMISSIONS)
    story.secret.append(bearer.rpartition(".")[2])
    ApiClient(deployment.stack.api_url, bearer).get("/v1/payments").require(200)
    ApiClient(deployment.stack.api_url, bearer[:-3] + "AAA").get("/v1/payments")
    time.sleep(SETTLE_SECONDS)
    return story


def _secrets_of_the_merchant(story: Story, operator: Teller, merchant_id: str) -> None:
    path = f"/v1/merchants/{merchant_id}"
    rotated = operator("POST", f"{path}/rotate-webhook-secret", {})
    story.shown_once[rotated["webhook_secret"]] = 1
    config = marked("newconfig")
    story.secret.append(config)
    operator("PATCH", path, {"version": 2, "processor_config": {"api_key": config}})
    operator("PATCH", path, {"version": 2, "processor_config": {"api_key": config}})
    operator("PATCH", path, {"version": 3, "processor_config": config})
    keys = [
        f"sk_test_{marked('first')}",
        f"sk_test_{marked('second')}",
        f"sk_live_{marked('live')}",
    ]
    signing = marked("whsec_")
    story.secret += [*keys, signing]
    for version, key in enumerate(keys, start=3):
        config_of_stripe = {"api_key": key, "webhook_secret": signing}
        body = {"version": version, "processor": "stripe", "processor_config": config_of_stripe}
        moved = operator("PATCH", path, body)
        assert moved.get("code", "") == ("processor_mode" if "_live_" in key else ""), moved
    kept = operator("GET", f"{path}/processor-accounts")["data"]
    assert [each["processor"] for each in kept] == ["stripe", "stripe", "sandbox"]
    operator("DELETE", f"{path}/processor-accounts/{kept[0]['account']}")
    operator("DELETE", f"{path}/processor-accounts/{kept[1]['account']}")
    back = {"version": 6, "processor": "sandbox", "processor_config": {}}
    assert operator("PATCH", path, back)["processor_account"] == "sandbox"
    operator("GET", path)


def _people(story: Story, shop: Teller) -> None:
    name, local_part, phone = marked("name"), marked("mail"), f"+49{uuid4().int % 10**12:012d}"
    story.personal += [name, local_part, phone]
    person = {"name": name, "email": f"{local_part}@people.example", "phone": phone}
    customer = shop("POST", "/v1/customers", person, key="person")["id"]
    shop("POST", "/v1/customers", person, key="person")
    shop("POST", "/v1/customers", {**person, "phone": "1"}, key="person")
    path = f"/v1/customers/{customer}"
    shop("GET", path)
    shop("GET", f"/v1/customers?email={local_part}@people.example")
    other = marked("othername")
    story.personal.append(other)
    shop("PATCH", path, {"name": other})
    shop("PATCH", path, {"name": other, "version": 1})
    token = marked("tok_")
    story.secret.append(token)
    method = {"type": "card", "token": token, "last4": "4242"}
    kept = shop("POST", f"{path}/payment-methods", method, key="card")
    shop("POST", f"{path}/payment-methods", method, key="card")
    shop("POST", f"{path}/payment-methods", {**method, "last4": "x"})
    sale = {"amount": 1, "currency": "USD", "customer_id": customer, "payment_method": kept["id"]}
    shop("POST", "/v1/payments", sale)
    gone = shop("POST", "/v1/customers", person, key="gone")["id"]
    shop("DELETE", f"/v1/customers/{gone}")
    shop("GET", f"/v1/customers/{gone}")


def _payments(story: Story, shop: Teller) -> None:
    sale = {"amount": 5, "currency": "USD", "description": story.control}
    for token in ("tok_approved", "tok_declined", "tok_timeout"):
        shop("POST", "/v1/payments", {**sale, "payment_method": token}, key=f"sale-{token}")
        shop("POST", "/v1/payments", {**sale, "payment_method": token}, key=f"sale-{token}")
    held = {**sale, "payment_method": "tok_approved", "capture_method": "manual"}
    for number, route in enumerate(("capture", "cancel")):
        path = f"/v1/payments/{shop('POST', '/v1/payments', held, key=f'held-{number}')['id']}"
        shop("POST", f"{path}/{route}", {}, key=route)
        shop("POST", f"{path}/{route}", {}, key=route)
        shop("POST", f"{path}/refund", {"amount": 2, "reason": story.control}, key=f"back-{route}")
    unknown = marked("tok_unknown")
    story.secret.append(unknown)
    shop("POST", "/v1/payments", {**sale, "payment_method": unknown})


def _what_is_refused(story: Story, shop: Teller) -> None:
    """Card numbers and secrets in every wrong field."""
    secret = marked("wrongplace")
    story.secret += [secret, CARD, PLAIN_CARD]
    sale = {"amount": 5, "currency": "USD", "payment_method": "tok_approved"}
    shop("POST", "/v1/payments", {**sale, "payment_method": PLAIN_CARD})
    shop("POST", "/v1/payments", {**sale, "description": f"pay by {CARD}"})
    shop("POST", "/v1/payments", {**sale, "metadata": {"note": PLAIN_CARD}})
    shop("POST", "/v1/payments", {**sale, PLAIN_CARD: "x"})
    shop("POST", "/v1/payments", sale, key=PLAIN_CARD)
    path = f"/v1/payments/{shop('POST', '/v1/payments', sale)['id']}"
    shop("POST", f"{path}/refund", {"reason": f"back to {CARD}"})
    shop("POST", f"{path}/refund", {"amount": PLAIN_CARD})
    shop("POST", f"{path}/refund", {}, key=PLAIN_CARD)
    shop("POST", f"{path}/capture", {"amount": [secret]})
    shop("POST", f"{path}/cancel", {"reason": secret})
    shop("GET", f"/v1/payments?status={PLAIN_CARD}")
    shop("GET", f"/v1/customers?email={PLAIN_CARD}@people.example")
    shop("POST", "/v1/customers", {"name": [secret], "email": secret})
    shop("POST", "/v1/customers", {"name": "A", "email": secret})
    shop("POST", "/v1/merchants", {"webhook_secret": secret})
    shop("POST", "/v1/payments", content=f'{{"payment_method": "{secret}"'.encode())


def _machine_client(story: Story, operator: Teller, deployment: Deployment, merchant: str) -> None:
    body = {"merchant_id": merchant, "name": "batch", "permissions": ["payments"]}
    secret = operator("POST", "/v1/api-keys", body)["secret"]
    story.shown_once[secret] = 1
    ApiClient(deployment.stack.api_url, secret).get("/v1/payments").require(200)
    ApiClient(deployment.stack.api_url, secret[:-4] + "AAAA").get("/v1/payments")


# ------------------------------------------------------------ searching for leaks


def forms(text: str) -> tuple[bytes, ...]:
    """The value itself, and the encodings in which it could have been written."""
    raw = text.encode()
    # Base64 of something in the middle of a longer text depends on where it begins.
    coded = (base64.b64encode(b" " * shift + raw)[4:-4] for shift in range(3))
    return (raw, raw.hex().encode(), *coded)


def leaks(dump: bytes, words: list[str]) -> list[str]:
    return [word for word in words if any(form in dump for form in forms(word))]


def _client(deployment: Deployment, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=deployment.stack.aws_endpoint_url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
    )


def items(deployment: Deployment) -> bytes:
    dynamodb = _client(deployment, "dynamodb")
    written = []
    for table in deployment.stack.tables.values():
        for page in dynamodb.get_paginator("scan").paginate(TableName=table):
            for item in page["Items"]:
                written.append(repr(item).encode())
                written += [v["B"] for v in item.values() if "B" in v]
    return b"\n".join(written)


def logs(deployment: Deployment) -> bytes:
    client = _client(deployment, "logs")
    lines = []
    for page in client.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            for found in client.get_paginator("filter_log_events").paginate(logGroupName=name):
                lines += [event["message"].encode() for event in found["events"]]
    return b"\n".join(lines)


def messages(deployment: Deployment) -> Iterator[bytes]:
    sqs = _client(deployment, "sqs")
    for url in sqs.list_queues().get("QueueUrls", []):
        got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        yield from (message["Body"].encode() for message in got.get("Messages", []))


def objects(deployment: Deployment) -> Iterator[bytes]:
    s3 = _client(deployment, "s3")
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        if name.startswith("cdk-"):
            continue
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            for each in page.get("Contents", []):
                yield s3.get_object(Bucket=name, Key=each["Key"])["Body"].read()


def test_the_tables_contain_no_secret_in_plaintext(deployment: Deployment, story: Story) -> None:
    dump = items(deployment)
    assert leaks(dump, [story.control]), "the harmless control value is found: the search works"
    assert leaks(dump, [*story.personal, *story.secret, *story.shown_once]) == []


def test_the_logs_contain_no_secret(deployment: Deployment, story: Story) -> None:
    dump = logs(deployment)
    assert b"createPayment" in dump, "the functions' lines are in the dump"
    assert b"token refused" in dump, "the authorizer's lines are in the dump"
    assert leaks(dump, [*story.personal, *story.secret, *story.shown_once]) == []


def test_the_emulators_own_output_contains_no_secret(deployment: Deployment, story: Story) -> None:
    files = [path for path in Path(deployment.workspace.directory).rglob("*.log") if path.is_file()]
    dump = b"\n".join(path.read_bytes() for path in files)
    assert leaks(dump, [*story.secret, *story.shown_once]) == []


def test_queues_and_files_contain_no_secret(deployment: Deployment, story: Story) -> None:
    dump = b"\n".join([*messages(deployment), *objects(deployment)])
    assert leaks(dump, [*story.personal, *story.secret, *story.shown_once]) == []


def test_responses_show_only_what_they_may(story: Story) -> None:
    assert len(story.answers) > 30
    for what, reply in story.answers:
        assert leaks(reply.text.encode(), story.secret) == [], what
        reported = leaks(reply.text.encode(), story.personal)
        assert not reported or "/v1/customers" in what, what
        assert not reported or reply.status in (200, 201), what
    for secret, times in story.shown_once.items():
        shown = [what for what, reply in story.answers if secret in reply.text]
        assert len(shown) == times, shown


def test_no_response_is_an_internal_error(story: Story) -> None:
    assert [what for what, reply in story.answers if reply.status >= 500] == []
