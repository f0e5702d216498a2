"""Repeated operations, unknown outcomes, and reads afterwards."""

from __future__ import annotations

import json

import pytest

from runtime.core.errors import IdempotencyInFlight, IdempotencyKeyReused, InvalidState
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import ClaimState
from runtime.merchants.models import MerchantProfile
from runtime.payments.api import PaymentQuery
from runtime.payments.models import PaymentStatus
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.queries import get_payment, list_payments
from runtime.payments.transaction_models import Transaction, TransactionType
from tests.support.operation_answers import MANUAL, amounts, done, reported
from tests.support.platform import (
    Hooked,
    Platform,
    at_once,
    settlement_file,
    settlement_key,
    settlement_line,
)
from tests.support.processors.unreliable import unheard, unreached

S, T = PaymentStatus, TransactionType


@pytest.fixture
def shop(platform: Platform) -> MerchantProfile:
    return platform.merchant()


# ------------------------------------------------------------ one key, one effect


OPERATIONS = {"capture": MANUAL, "cancel": MANUAL, "refund": {}}
"""The requested operation, and its payment."""


@pytest.mark.parametrize("what", OPERATIONS)
def test_a_repetition_gets_the_exact_answer_although_the_payment_has_changed(
    platform: Platform, shop: MerchantProfile, what: str
) -> None:
    payment = platform.paid(shop, **OPERATIONS[what])
    body = {} if what == "cancel" else {"amount": 400}
    first = platform.operate(shop, payment, what, "k", **body)
    assert (first.status, first.replayed) == (200, False)
    if what != "cancel":
        assert platform.operate(shop, payment, "refund", amount=200).status == 200
    assert platform.operate(shop, payment, what, "k", **body) == first.again()
    platform.must_agree()


@pytest.mark.parametrize("what", ["capture", "refund"])
def test_the_same_key_with_another_body_is_refused_without_an_effect(
    platform: Platform, shop: MerchantProfile, what: str
) -> None:
    payment = platform.paid(shop, **OPERATIONS[what])
    assert platform.operate(shop, payment, what, "k", amount=400).status == 200
    for other in ({}, {"amount": 401}):
        with pytest.raises(IdempotencyKeyReused, match="different request"):
            platform.operate(shop, payment, what, "k", **other)
    assert sorted(row.amount for row in platform.rows(SandboxCharge)) == [400, 1000]


def test_a_key_belongs_to_one_merchant_payment_and_operation(platform: Platform) -> None:
    one, other = platform.merchant(), platform.merchant()
    payments = [
        platform.paid(one, **MANUAL),
        platform.paid(one, **MANUAL),
        platform.paid(other, **MANUAL),
    ]
    for merchant, payment in zip((one, one, other), payments, strict=True):
        for what in ("capture", "refund"):
            answer = platform.operate(merchant, payment, what, "the-key", amount=10)
            assert (answer.status, answer.replayed) == (200, False)
    assert [row.amount_refunded for row in platform.payments()] == [10, 10, 10]
    platform.must_agree()


@pytest.mark.parametrize("what", OPERATIONS)
def test_many_concurrent_copies_of_a_request_have_one_effect(
    either_world: Platform, what: str
) -> None:
    platform = either_world
    merchant = platform.merchant()
    payment = platform.paid(merchant, **OPERATIONS[what])
    deps = platform.deps()
    results = at_once(*[lambda: platform.operate(merchant, payment, what, "k", deps=deps)] * 32)
    answers = [each for each in results if isinstance(each, StoredAnswer)]
    refusals = [each for each in results if not isinstance(each, StoredAnswer)]
    assert {type(each) for each in refusals} <= {IdempotencyInFlight}
    assert {(each.status, each.body) for each in answers} == {(200, answers[0].body)}
    assert [each.replayed for each in answers].count(False) == 1
    assert len(reported(answers[0])["transactions"]) == 2
    assert len(platform.rows(SandboxCharge)) == 2, "the charge and one operation"
    assert platform.operate(merchant, payment, what, "k") == answers[0].again()
    platform.must_agree()


# ------------------------------------------------------------ while the outcome is unknown


@pytest.mark.parametrize("heard", [True, False], ids=["done", "never arrived"])
@pytest.mark.parametrize("what", OPERATIONS)
def test_an_operation_without_an_answer_is_202_and_pending_until_the_resolver_asks(
    platform: Platform, shop: MerchantProfile, what: str, heard: bool
) -> None:
    payment = platform.paid(shop, **OPERATIONS[what])
    stumbling = unheard(platform.sandbox()) if heard else unreached(platform.sandbox())
    first = platform.operate(shop, payment, what, "k", deps=platform.deps(processor=stumbling))
    assert (first.status, first.replayed) == (202, False)
    status = "succeeded" if what == "refund" else "requires_capture"
    assert reported(first)["status"] == status
    assert done(first)[1][2] == "pending"
    assert platform.operate(shop, payment, what, "k") == first.again()
    detail = get_payment(payment, platform.call(shop), platform.payment_reads())
    assert [each.status for each in detail.transactions] == ["succeeded", "pending"]
    row = platform.payment()
    assert row.pending_capture_minor + row.pending_refund_minor == (0 if what == "cancel" else 1000)
    platform.must_agree()
    platform.resolve_until_quiet()
    final = platform.operate(shop, payment, what, "k")
    assert (final.status, final.replayed) == (200, True)
    assert done(final)[1][2] == "succeeded"
    assert platform.operate(shop, payment, what, "k") == final
    assert {claim.state for claim in platform.claims()} == {ClaimState.COMPLETED}
    platform.must_agree()


def test_during_an_unknown_refund_only_the_rest_can_be_refunded(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop)
    deps = platform.deps(processor=unreached(platform.sandbox()))
    assert platform.operate(shop, payment, "refund", deps=deps, amount=700).status == 202
    over = platform.operate(shop, payment, "refund", amount=301)
    assert (over.status, "700 are pending" in reported(over)["detail"]) == (422, True)
    assert amounts(platform.operate(shop, payment, "refund")) == ("succeeded", 0, 1000, 300)
    platform.resolve_until_quiet()
    assert platform.payment().amount_refunded == 1000
    platform.must_agree()


def test_during_an_unknown_capture_only_partial_captures_are_allowed(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    deps = platform.deps(processor=unheard(platform.sandbox()))
    assert (
        platform.operate(shop, payment, "capture", deps=deps, amount=700, final=False).status == 202
    )
    for what, body in (("cancel", {}), ("capture", {"amount": 1})):
        with pytest.raises(InvalidState, match="pending capture of 700"):
            platform.operate(shop, payment, what, **body)
    assert platform.operate(shop, payment, "capture", amount=1, final=False).status == 200
    platform.resolve_until_quiet()
    assert amounts(platform.operate(shop, payment, "cancel")) == ("succeeded", 0, 701, 0)
    platform.must_agree()


def test_during_an_unknown_cancel_no_capture_is_allowed(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    deps = platform.deps(processor=unreached(platform.sandbox()))
    assert platform.operate(shop, payment, "cancel", deps=deps).status == 202
    for what, body in (("cancel", {}), ("capture", {}), ("capture", {"final": False})):
        with pytest.raises(InvalidState, match="is being captured in full or canceled"):
            platform.operate(shop, payment, what, **body)
    platform.resolve_until_quiet()
    assert platform.payment().status is S.CANCELED
    platform.must_agree()


def test_a_refund_is_allowed_during_a_capture(platform: Platform, shop: MerchantProfile) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, "capture", amount=400, final=False)

    def refund_meanwhile() -> None:
        assert platform.operate(shop, payment, "refund", amount=100).status == 200

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=refund_meanwhile))
    answer = platform.operate(shop, payment, "capture", deps=deps)
    assert amounts(answer) == ("succeeded", 0, 1000, 100)
    platform.must_agree()


# ------------------------------------------------------------ reading afterwards


def test_lists_and_details_show_each_step(platform: Platform, shop: MerchantProfile) -> None:
    held, canceled, captured = (platform.paid(shop, **MANUAL) for _ in range(3))

    def listed(status: str | None) -> list[str]:
        page = list_payments(
            PaymentQuery(status=status), platform.call(shop), platform.payment_reads()
        )
        assert all(status in (None, row.status) for row in page.data)
        return [row.id for row in page.data]

    assert listed("requires_capture") == [captured, canceled, held]
    platform.operate(shop, canceled, "cancel")
    platform.operate(shop, captured, "capture", amount=600, final=False)
    assert listed("requires_capture") == [captured, held]
    last = platform.operate(shop, captured, "capture")
    assert (listed("requires_capture"), listed("canceled")) == ([held], [canceled])
    assert (listed("succeeded"), listed(None)) == ([captured], [captured, canceled, held])
    detail = get_payment(captured, platform.call(shop), platform.payment_reads())
    assert json.loads(detail.model_dump_json()) == reported(last)
    capture = detail.transactions[1]
    assert [step.status for step in capture.audit_trail] == ["pending", "succeeded"]
    assert (capture.fee, capture.response_code) == (47, "approved")
    assert capture.processor_id is not None


def test_captures_are_settled_separately_and_a_settled_payment_can_be_refunded(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    for amount in (300, 700):
        platform.operate(shop, payment, "capture", amount=amount, final=False)
    captures = [row for row in platform.rows(Transaction) if row.type is T.CAPTURE]
    lines = [settlement_line(each) for each in captures]
    platform.s3.objects[settlement_key(shop)] = settlement_file(lines)
    platform.reconcile(settlement_key(shop))
    detail = get_payment(payment, platform.call(shop), platform.payment_reads())
    assert [each.status for each in detail.transactions] == ["succeeded", "settled", "settled"]
    assert amounts(platform.operate(shop, payment, "refund", amount=900)) == (
        "succeeded",
        0,
        1000,
        900,
    )
    assert platform.balances()["acc_clearing_USD"] == 900
    platform.must_agree()
