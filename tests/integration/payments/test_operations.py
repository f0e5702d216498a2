"""Captures, cancels and refunds: what each changes and answers, also when repeated."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from runtime.core.errors import IdempotencyKeyReused, InvalidState, NotFound
from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import MerchantProfile, MerchantStatus
from runtime.payments.models import MAX_TRANSACTIONS, Payment, PaymentStatus
from runtime.payments.operations.rules import (
    MAX_TRANSACTIONS_BEFORE,
    refusal_of,
)
from runtime.payments.queries import get_payment
from runtime.payments.repository import OperationRefused, PaymentRepository
from runtime.payments.rules import Refused
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from tests.support.operation_answers import MANUAL, amounts, done, reported
from tests.support.outside import new_id
from tests.support.platform import (
    SETUP,
    Platform,
)
from tests.support.processors.unreliable import Answering

S, T = PaymentStatus, TransactionType


@pytest.fixture
def shop(platform: Platform) -> MerchantProfile:
    return platform.merchant()


# ------------------------------------------------------------ captures


def test_an_authorization_captured_in_full_succeeds_and_is_booked(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    assert platform.balances() == {}, "an authorization moves nothing"
    answer = platform.operate(shop, payment, "capture")
    assert amounts(answer) == ("succeeded", 0, 1000, 0)
    assert done(answer) == [
        ("authorization", 1000, "succeeded"),
        ("capture", 1000, "succeeded"),
    ]
    assert platform.balances()["acc_clearing_USD"] == -1000
    assert platform.balances()[f"acc_receivable_{shop.id}_USD"] == 1000 - 59
    platform.must_agree()


def test_a_final_partial_capture_releases_the_rest(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    assert amounts(platform.operate(shop, payment, "capture", amount=300)) == (
        "succeeded",
        0,
        300,
        0,
    )
    with pytest.raises(InvalidState, match="succeeded"):
        platform.operate(shop, payment, "capture", amount=1)
    (charge,) = platform.charges()
    assert (charge.capturable, charge.refundable) == (0, 300)
    platform.must_agree()


def test_partial_captures_are_allowed_until_the_whole_amount_is_captured(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    for part, left in ((300, 700), (1, 699), (500, 199)):
        answer = platform.operate(shop, payment, "capture", amount=part, final=False)
        assert amounts(answer) == ("requires_capture", left, 1000 - left, 0)
    answer = platform.operate(shop, payment, "capture", final=False)
    assert amounts(answer) == ("succeeded", 0, 1000, 0)
    assert [amount for _, amount, _ in done(answer)] == [1000, 300, 1, 500, 199]
    assert platform.payment().open_bucket is None
    platform.must_agree()


def test_a_final_capture_after_partial_ones_releases_the_rest(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, "capture", amount=300, final=False)
    assert amounts(platform.operate(shop, payment, "capture", amount=50)) == (
        "succeeded",
        0,
        350,
        0,
    )
    platform.must_agree()


@pytest.mark.parametrize("retriable", [True, False])
def test_a_declined_capture_leaves_the_authorization_unchanged(
    platform: Platform, shop: MerchantProfile, retriable: bool
) -> None:
    payment = platform.paid(shop, **MANUAL)
    code = "insufficient_funds" if retriable else "generic_decline"
    deps = platform.deps(processor=Answering(Refused("p", code, "The bank declined")))  # type: ignore[arg-type]
    first = platform.operate(shop, payment, "capture", "k", deps=deps, amount=10)
    problem = reported(first)
    assert (first.status, problem["code"], problem["decline_code"]) == (402, "declined", code)
    assert (problem["payment_id"], problem["retriable"]) == (payment, retriable)
    assert problem["instance"] == f"/v1/payments/{payment}/capture"
    assert platform.payment().status is S.REQUIRES_CAPTURE
    assert platform.operate(shop, payment, "capture", "k", amount=10) == first.again()
    assert amounts(platform.operate(shop, payment, "capture")) == ("succeeded", 0, 1000, 0)
    platform.must_agree()


# ------------------------------------------------------------ cancels


def test_a_canceled_authorization_moves_no_money(platform: Platform, shop: MerchantProfile) -> None:
    payment = platform.paid(shop, **MANUAL)
    answer = platform.operate(shop, payment, "cancel")
    assert amounts(answer) == ("canceled", 0, 0, 0)
    assert done(answer)[1:] == [("void", 1000, "succeeded")]
    assert [charge.state for charge in platform.charges()] == ["voided"]
    assert platform.balances() == {}
    platform.must_agree()


def test_a_cancel_after_a_partial_capture_voids_the_rest_and_the_payment_succeeds(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, "capture", amount=400, final=False)
    answer = platform.operate(shop, payment, "cancel")
    assert amounts(answer) == ("succeeded", 0, 400, 0)
    assert done(answer)[1:] == [("capture", 400, "succeeded"), ("void", 600, "succeeded")]
    assert amounts(platform.operate(shop, payment, "refund")) == ("succeeded", 0, 400, 400)
    platform.must_agree()


# ------------------------------------------------------------ refunds


def test_a_payment_is_refunded_in_parts_up_to_the_whole_amount(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop)
    answer = platform.operate(shop, payment, "refund", amount=1, reason="a scratch")
    assert amounts(answer) == ("succeeded", 0, 1000, 1)
    assert reported(answer)["transactions"][1]["reason"] == "a scratch"
    platform.operate(shop, payment, "refund", amount=600)
    assert amounts(platform.operate(shop, payment, "refund")) == ("succeeded", 0, 1000, 1000)
    with pytest.raises(InvalidState, match="already been refunded in full"):
        platform.operate(shop, payment, "refund")
    assert platform.balances()["acc_clearing_USD"] == 0
    assert platform.balances()["acc_fees_USD"] == 59, "the fee is not returned"
    platform.must_agree()


def test_a_captured_part_can_be_refunded_before_the_rest_is_captured(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    with pytest.raises(InvalidState, match="requires_capture: nothing was captured yet"):
        platform.operate(shop, payment, "refund")
    platform.operate(shop, payment, "capture", amount=400, final=False)
    answer = platform.operate(shop, payment, "refund", amount=150)
    assert amounts(answer) == ("requires_capture", 600, 400, 150)
    over = platform.operate(shop, payment, "refund", amount=251)
    assert (over.status, reported(over)["code"]) == (422, "amount_too_large")
    answer = platform.operate(shop, payment, "capture", amount=500)
    assert amounts(answer) == ("succeeded", 0, 900, 150)
    assert amounts(platform.operate(shop, payment, "refund")) == ("succeeded", 0, 900, 900)
    platform.must_agree()


def test_a_refused_refund_is_reported_and_can_be_requested_again(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, payment_method="tok_refund_fails")
    first = platform.operate(shop, payment, "refund", "k", amount=100)
    problem = reported(first)
    assert (first.status, problem["code"]) == (402, "refund_failed")
    assert (problem["decline_code"], problem["payment_id"]) == ("refund_refused", payment)
    assert problem["instance"] == f"/v1/payments/{payment}/refund"
    row = platform.payment()
    assert (row.refundable_minor, row.pending_refund_minor, row.amount_refunded) == (1000, 0, 0)
    assert platform.operate(shop, payment, "refund", "k", amount=100) == first.again()
    assert platform.operate(shop, payment, "refund", "k2", amount=100).status == 402
    assert platform.balances()["acc_clearing_USD"] == -1000
    platform.must_agree()


# ------------------------------------------------------------ what is not allowed


def _unknown(platform: Platform, shop: MerchantProfile) -> str:
    return str(reported(platform.pay(shop, payment_method="tok_timeout"))["id"])


def _failed(platform: Platform, shop: MerchantProfile) -> str:
    return str(reported(platform.pay(shop, payment_method="tok_declined"))["payment_id"])


def _canceled(platform: Platform, shop: MerchantProfile) -> str:
    payment = platform.paid(shop, **MANUAL)
    platform.operate(shop, payment, "cancel")
    return payment


def _processing(platform: Platform, shop: MerchantProfile) -> str:
    payment = platform.paid(shop)
    row = platform.payment().model_copy(update={"status": S.PROCESSING, "transaction_ids": ()})
    platform.put(row)
    return payment


WRONG = [
    (_processing, ("capture", "cancel", "refund"), "processing"),
    (_unknown, ("capture", "cancel", "refund"), "unknown"),
    (_failed, ("capture", "cancel", "refund"), "failed"),
    (_canceled, ("capture", "cancel", "refund"), "canceled"),
    (lambda w, s: w.paid(s), ("capture", "cancel"), "succeeded"),
    (lambda w, s: w.paid(s, **MANUAL), ("refund",), "requires_capture"),
]


@pytest.mark.parametrize(("make", "operations", "status"), WRONG, ids=[each[2] for each in WRONG])
def test_an_operation_that_the_status_does_not_allow_is_refused_without_taking_its_key(
    platform: Platform, shop: MerchantProfile, make: Any, operations: tuple[str, ...], status: str
) -> None:
    payment = make(platform, shop)
    before, keys = platform.payments(), len(platform.claims())
    for what in operations:
        with pytest.raises(InvalidState, match=f"{payment} is {status}") as refused:
            platform.operate(shop, payment, what, f"{what}-key")
        assert (refused.value.status, refused.value.code) == (409, InvalidState.code)
    assert platform.payments() == before
    assert len(platform.claims()) == keys


def test_a_key_refused_because_of_the_status_works_once_the_status_allows_it(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    with pytest.raises(InvalidState):
        platform.operate(shop, payment, "refund", "k")
    platform.operate(shop, payment, "capture")
    assert amounts(platform.operate(shop, payment, "refund", "k")) == ("succeeded", 0, 1000, 1000)


@pytest.mark.parametrize("what", ["capture", "refund"])
def test_an_amount_above_the_rest_is_refused_and_the_refusal_is_repeated(
    platform: Platform, shop: MerchantProfile, what: str
) -> None:
    payment = platform.paid(shop, **(MANUAL if what == "capture" else {}))
    first = platform.operate(shop, payment, what, "k", amount=1001)
    problem = reported(first)
    assert (first.status, problem["code"], problem["param"]) == (422, "amount_too_large", "amount")
    assert "1001" in problem["detail"]
    assert "Only 1000 of" in problem["detail"]
    assert platform.payment().version == 2, "nothing was begun"
    assert platform.operate(shop, payment, what, "k", amount=1001) == first.again()
    platform.operate(shop, payment, what, amount=1000)
    assert platform.operate(shop, payment, what, "k", amount=1001) == first.again()
    with pytest.raises(IdempotencyKeyReused):
        platform.operate(shop, payment, what, "k", amount=1000)
    platform.must_agree()


@pytest.mark.parametrize("what", ["capture", "cancel", "refund"])
def test_a_payment_of_another_merchant_is_not_found(
    platform: Platform, shop: MerchantProfile, what: str
) -> None:
    payment = platform.paid(platform.merchant(), **({} if what == "refund" else MANUAL))
    before, keys = platform.payments(), len(platform.claims())
    for id_ in (payment, "pay_unknown"):
        with pytest.raises(NotFound):
            platform.operate(shop, id_, what, "k")
    assert platform.payments() == before
    assert len(platform.claims()) == keys


def test_an_inactive_merchant_can_refund_but_not_capture(
    platform: Platform, shop: MerchantProfile
) -> None:
    charged, held = platform.paid(shop), platform.paid(shop, **MANUAL)
    other = platform.paid(shop, **MANUAL)
    _set_status(platform, shop, MerchantStatus.INACTIVE)
    refused = platform.operate(shop, held, "capture", "k")
    assert (refused.status, reported(refused)["code"]) == (422, "inactive_merchant")
    assert amounts(platform.operate(shop, charged, "refund")) == ("succeeded", 0, 1000, 1000)
    assert amounts(platform.operate(shop, other, "cancel")) == ("canceled", 0, 0, 0)
    _set_status(platform, shop, MerchantStatus.ACTIVE)
    assert platform.operate(shop, held, "capture", "k") == refused.again()
    assert platform.operate(shop, held, "capture", "k2").status == 200
    platform.must_agree()


def _set_status(platform: Platform, shop: MerchantProfile, status: MerchantStatus) -> None:
    platform.client.update_item(
        TableName=platform.tables["merchants"],
        Key={"id": {"S": shop.id}},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": status}},
    )


def test_a_payment_with_the_most_transactions_can_still_be_voided(
    platform: Platform, shop: MerchantProfile
) -> None:
    payment = platform.paid(shop, **MANUAL)
    for _ in range(MAX_TRANSACTIONS_BEFORE[T.CAPTURE] - 1):
        assert platform.operate(shop, payment, "capture", amount=2, final=False).status == 200
    with pytest.raises(InvalidState, match="50 transactions; another capture is not possible"):
        platform.operate(shop, payment, "capture", amount=2)
    for _ in range(MAX_TRANSACTIONS_BEFORE[T.REFUND] - MAX_TRANSACTIONS_BEFORE[T.CAPTURE]):
        assert platform.operate(shop, payment, "refund", amount=1).status == 200
    with pytest.raises(InvalidState, match="98 transactions; another refund is not possible"):
        platform.operate(shop, payment, "refund", amount=1)
    refusing = platform.deps(processor=Answering(Refused("p", "no", "No")))
    assert platform.operate(shop, payment, "cancel", deps=refusing).status == 402
    with pytest.raises(InvalidState, match="99 transactions; another void is not possible"):
        platform.operate(shop, payment, "cancel")
    # The platform's own void, when the authorization expires, still has a place.
    platform.clock.advance(timedelta(days=8).total_seconds())
    assert platform.resolve().resolved == 1
    stored = platform.payment()
    assert (stored.status, stored.amount_captured, stored.amount_refunded) == (S.SUCCEEDED, 98, 48)
    assert len(stored.transaction_ids) == MAX_TRANSACTIONS
    read = get_payment(payment, platform.call(shop), platform.payment_reads())
    assert len(read.transactions) == MAX_TRANSACTIONS
    platform.must_agree()


def test_a_payment_with_more_transactions_than_it_should_have_can_be_read(
    platform: Platform, shop: MerchantProfile
) -> None:
    platform.paid(shop)
    payment, (charge,) = platform.payment(), platform.rows(Transaction)
    voids = [
        _pending(platform, payment, T.VOID, 0, final=True).model_copy(
            update={"status": TransactionStatus.FAILED}
        )
        for _ in range(MAX_TRANSACTIONS)
    ]
    for void in voids:
        platform.put(void)
    ids = [*(void.id for void in voids), charge.id]
    platform.put(payment.model_copy(update={"transaction_ids": tuple(ids)}))
    stored = PaymentRepository(platform.store).transactions_of(platform.payment())
    assert [each.id for each in stored] == ids
    read = get_payment(payment.id, platform.call(shop), platform.payment_reads())
    assert len(read.transactions) == MAX_TRANSACTIONS + 1


AMOUNTS = product(S, (0, 20), (0, 20), (None, "txn_x"))
STANDINGS = [
    {"status": status, "capturable_minor": 60, "pending_capture_minor": pending}
    | {"amount_captured": captured, "refundable_minor": captured, "closing_id": closing}
    for status, pending, captured, closing in AMOUNTS
] + [
    {"status": status, "capturable_minor": 60, "amount_captured": 20, "refundable_minor": 20}
    | {"transaction_ids": ("txn_0",) * transactions}
    for status, transactions in product(S, (24, 25, 47, 48, 49, 50, 97, 98, 99, 100))
]
ASKED = [
    (T.CAPTURE, 60, True, "claim"),
    (T.CAPTURE, 60, False, "claim"),
    (T.CAPTURE, 61, False, "claim"),
    (T.REFUND, 20, True, "claim"),
    (T.REFUND, 21, True, "claim"),
    (T.VOID, 60, True, "claim"),
    (T.VOID, 60, True, None),
]
"""Kind, amount, whether it is final, and the claim of the merchant's request, if there was one."""


@pytest.mark.parametrize(("kind", "amount", "final", "claim_key"), ASKED)
def test_the_write_condition_refuses_exactly_what_the_rule_refuses(
    platform: Platform, kind: TransactionType, amount: int, final: bool, claim_key: str | None
) -> None:
    platform.paid(platform.merchant(), amount=100, **MANUAL)
    payments, base = PaymentRepository(platform.store), platform.payment()
    for standing in STANDINGS:
        payment = base.model_copy(update=standing)
        platform.put(payment)
        operation = _pending(platform, payment, kind, amount, final=final, claim_key=claim_key)
        now, stood = platform.clock(), None
        try:
            payments.begin_operation(operation, None, now, token=new_id("opn", now))
        except OperationRefused as refused:
            stood = refused.payment
        refusal = refusal_of(payment, kind, amount, final=final, by_platform=claim_key is None)
        assert stood == (None if refusal is None else payment), standing


def _pending(
    platform: Platform,
    payment: Payment,
    kind: TransactionType,
    amount: int,
    *,
    final: bool,
    claim_key: str | None = None,
) -> Transaction:
    now = platform.clock()
    return Transaction(
        id=new_id("txn", now),
        merchant_id=payment.merchant_id,
        payment_id=payment.id,
        type=kind,
        amount=amount,
        currency=payment.currency,
        status=TransactionStatus.PENDING,
        final=final if kind is T.CAPTURE else None,
        claim_key=claim_key,
        created_at=to_timestamp(now),
        updated_at=to_timestamp(now),
        **SETUP.stamp(),
    )
