"""Signature Version 4: AWS's published examples, and botocore's signer for our own requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from runtime.aws.signing import Credentials, Signer, amz_date

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TIMESTAMP = "20150830T123600Z"
HOST = {"host": "example.amazonaws.com"}
DATE = {"x-amz-date": TIMESTAMP}
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP"
    "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT"
    "7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlz"
    "m8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
FORM = {
    "content-length": "13",
    "content-type": "application/x-www-form-urlencoded",
    **HOST,
    "x-amz-content-sha256": "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
    **DATE,
}


class Vector(NamedTuple):
    headers: dict[str, str]
    body: bytes
    signature: str


VECTORS = {
    "post-vanilla": Vector(
        {**HOST, **DATE}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
    ),
    "post-header-key-sort": Vector(
        {**HOST, "my-header1": "value1", **DATE},
        b"",
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-header-value-case": Vector(
        {**HOST, "my-header1": "VALUE1", **DATE},
        b"",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    "post-sts-header-before": Vector(
        {**HOST, **DATE, "x-amz-security-token": TOKEN},
        b"",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": Vector(
        FORM, b"Param1=value1", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"
    ),
    "post-x-www-form-urlencoded-parameters": Vector(
        {**FORM, "content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        b"Param1=value1",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
}
"""AWS's Signature Version 4 test suite, as in awslabs/aws-c-auth (tests/aws-signing-test-suite/v4,
header-signed-request.txt): those of `POST /` without a query, the only request that is signed here.
"""


@pytest.mark.parametrize("name", VECTORS)
def test_the_published_examples_are_signed_as_published(name: str) -> None:
    headers, body, signature = VECTORS[name]
    assert Signer("us-east-1", "service").authorization(KEY, headers, body, TIMESTAMP) == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={';'.join(headers)}, Signature={signature}"
    )


def by_botocore(key: Credentials, headers: dict[str, str], body: bytes, timestamp: str) -> str:
    signer = SigV4Auth(
        ReadOnlyCredentials(key.access_key_id, key.secret_key, key.token), "dynamodb", "eu-west-1"
    )
    request: Any = AWSRequest("POST", f"https://{headers['host']}/", data=body, headers=headers)
    request.context["timestamp"] = timestamp
    canonical = signer.canonical_request(request)
    return signer.signature(signer.string_to_sign(request, canonical), request)


def test_the_key_is_derived_anew_for_another_day_and_another_secret() -> None:
    signer = Signer("eu-west-1", "dynamodb")
    others = Credentials("AKIDOTHER", "another secret", "token")
    for key, timestamp in [
        (KEY, "20261130T235959Z"),
        (KEY, "20261130T235959Z"),
        (KEY, "20261201T000000Z"),
        (others, "20261201T000000Z"),
        (KEY, "20261130T235959Z"),
    ]:
        headers = {"host": "dynamodb.eu-west-1.amazonaws.com", "x-amz-date": timestamp}
        ours = signer.authorization(key, headers, b"{}", timestamp)
        assert ours.rpartition("=")[2] == by_botocore(key, headers, b"{}", timestamp)


@given(body=st.binary(max_size=200), token=st.from_regex(r"[A-Za-z0-9+/=]{1,80}", fullmatch=True))
def test_any_body_and_token_is_signed_as_botocore_signs_it(body: bytes, token: str) -> None:
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": "dynamodb.eu-west-1.amazonaws.com",
        "x-amz-date": TIMESTAMP,
        "x-amz-security-token": token,
        "x-amz-target": "DynamoDB_20120810.PutItem",
    }
    ours = Signer("eu-west-1", "dynamodb").authorization(KEY, headers, body, TIMESTAMP)
    assert ours.rpartition("=")[2] == by_botocore(KEY, headers, body, TIMESTAMP)


def test_secrets_are_in_no_repr() -> None:
    signer = Signer("us-east-1", "service")
    key = Credentials("AKIDEXAMPLE", "the secret", "the token")
    signer.authorization(key, {**HOST, **DATE}, b"", TIMESTAMP)
    shown = f"{key!r} {key} {signer!r} {vars(signer)!r}"
    assert "AKIDEXAMPLE" in shown
    assert "the secret" not in shown
    assert "the token" not in shown


@pytest.mark.parametrize(
    "given", [("AKIA\nEXAMPLE", None), ("AKIAEXAMPLE", "to\nken"), ("AKIAEXAMPLE", "t\u00f6ken")]
)
def test_credentials_that_a_header_cannot_have_are_refused_without_their_text(
    given: tuple[str, str | None],
) -> None:
    with pytest.raises(ValueError, match="that a header cannot have") as refused:
        Credentials(given[0], "secret", given[1])
    assert "ken" not in str(refused.value)


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_date_is_the_one_that_strftime_writes(moment: datetime) -> None:
    assert amz_date(moment) == moment.strftime("%Y%m%dT%H%M%SZ")
