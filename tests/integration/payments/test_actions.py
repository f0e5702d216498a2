"""Payments that wait for their customer: approved, failed, expired, canceled, each at any time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest

from runtime.core.errors import InvalidState, NotFound, ProcessorUnknown
from runtime.core.scope import UNRESTRICTED
from runtime.http.responses import HttpResponse, StoredAnswer
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.operations.operations import ACTION_EXPIRED
from runtime.payments.operations.rules import MERCHANTS_VOIDS_BEFORE, PLATFORMS_VOIDS_BEFORE
from runtime.payments.processors.sandbox.actions import Decision
from runtime.payments.processors.sandbox.models import SandboxCharge
from runtime.payments.processors.sandbox.repository import SandboxChargeRepository
from runtime.payments.processors.sandbox.shown_actions import show_action
from runtime.payments.queries import get_payment
from runtime.payments.repository import PaymentRepository
from runtime.payments.resolution.charge import resolve_payment
from runtime.payments.resolution.sandbox_pages import SandboxPages, decide_action
from runtime.payments.rules import Refused
from runtime.payments.transaction_models import Transaction, TransactionStatus, TransactionType
from tests.support.platform import API_URL, Hooked, Platform, at_once

S = PaymentStatus
TOKEN = "tok_requires_action"
STEPS_OF_A_DAY = 96
"""Quarters of an hour."""
SHOP = "https://shop.example/done?order=7"


@pytest.fixture
def merchant(platform: Platform) -> MerchantProfile:
    return platform.merchant()


def begin(platform: Platform, merchant: MerchantProfile, **body: Any) -> dict[str, Any]:
    answer = platform.pay(merchant, "key", payment_method=TOKEN, **body)
    assert answer.status == HTTPStatus.ACCEPTED, answer
    document: dict[str, Any] = json.loads(answer.body)
    return document


def action_of(document: dict[str, Any]) -> str:
    return str(document["next_action"]["url"]).rpartition("/")[2]


def decide(platform: Platform, action_id: str, decision: Decision = "approve") -> HttpResponse:
    pages = SandboxPages(platform.deps(), SandboxChargeRepository(platform.store))
    return decide_action(action_id, decision, "page-request", pages)


def row(platform: Platform, payment_id: str) -> Payment:
    found = PaymentRepository(platform.store).get(payment_id, UNRESTRICTED)
    assert found is not None
    return found


def charges(platform: Platform, payment_id: str) -> list[Transaction]:
    found = platform.rows(Transaction)
    return [t for t in found if t.payment_id == payment_id and t.type is not TransactionType.VOID]


def repeat(platform: Platform, merchant: MerchantProfile, **body: Any) -> StoredAnswer:
    return platform.pay(merchant, "key", payment_method=TOKEN, **body)


# ------------------------------------------------------------ the answer


def test_the_answer_says_what_the_customer_has_to_do(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant, return_url=SHOP)
    assert document["status"] == "requires_action"
    assert document["next_action"]["type"] == "redirect_to_url"
    assert document["next_action"]["url"].startswith(f"{API_URL}/v1/sandbox/actions/")
    assert document["client_secret"]
    assert not charges(platform, document["id"])


def test_repetitions_have_the_same_secrets_and_nothing_else_has_them(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    again = repeat(platform, merchant)
    assert (again.status, again.replayed) == (HTTPStatus.ACCEPTED, True)
    assert json.loads(again.body) == document
    call = platform.call(merchant)
    read = get_payment(document["id"], call, platform.payment_reads()).model_dump_json()
    stored = [each.model_dump_json() for each in platform.rows(Payment)]
    secret, action_id = document["client_secret"], action_of(document)
    for text in (read, *stored):
        assert secret not in text
        assert action_id not in text
    table = platform.tables[IdempotencyRecord.table_schema.name]
    (claim,) = platform.client.scan(TableName=table)["Items"]
    assert secret not in str(claim)
    assert action_id not in str(claim)


def test_a_lost_answer_is_found_with_its_action(
    platform: Platform, merchant: MerchantProfile
) -> None:
    def lose() -> None:
        raise ProcessorUnknown("the answer was lost")

    lost = platform.deps(processor=Hooked(platform.sandbox(), after=lose))
    answer = platform.pay(merchant, "key", payment_method=TOKEN, deps=lost)
    assert json.loads(answer.body)["status"] == "unknown"
    assert platform.resolve().resolved == 1
    document = json.loads(repeat(platform, merchant).body)
    assert document["status"] == "requires_action"
    decide(platform, action_of(document))
    assert row(platform, document["id"]).status is S.SUCCEEDED


# ------------------------------------------------------------ decisions


@pytest.mark.parametrize(
    ("method", "decision", "status", "final"),
    [
        ("automatic", "approve", S.SUCCEEDED, HTTPStatus.CREATED),
        ("manual", "approve", S.REQUIRES_CAPTURE, HTTPStatus.CREATED),
        ("automatic", "fail", S.FAILED, HTTPStatus.PAYMENT_REQUIRED),
        ("manual", "fail", S.FAILED, HTTPStatus.PAYMENT_REQUIRED),
    ],
)
def test_the_page_decides_and_the_request_gets_its_final_answer(
    platform: Platform,
    merchant: MerchantProfile,
    method: str,
    decision: Decision,
    status: PaymentStatus,
    final: HTTPStatus,
) -> None:
    document = begin(platform, merchant, capture_method=method)
    assert decide(platform, action_of(document), decision).status == HTTPStatus.OK
    payment = row(platform, document["id"])
    assert (payment.status, payment.action_expires_at) == (status, None)
    assert payment.failure_code == ("authentication_failed" if decision == "fail" else None)
    answer = repeat(platform, merchant, capture_method=method)
    assert (answer.status, answer.replayed) == (final, True)
    assert "client_secret" not in answer.body
    (claim,) = platform.rows(IdempotencyRecord)
    assert claim.state is ClaimState.COMPLETED
    platform.must_agree()


def test_the_page_is_used_once_and_leads_back_to_the_shop(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant, return_url=SHOP)
    action_id = action_of(document)
    memory = SandboxChargeRepository(platform.store)
    page = show_action(action_id, memory)
    assert 'value="approve"' in page.body
    assert "form-action 'self' https://shop.example;" in page.headers["Content-Security-Policy"]
    for _ in range(2):
        back = decide(platform, action_id)
        assert back.status == HTTPStatus.SEE_OTHER
        assert back.headers["Location"] == f"{SHOP}&payment_id={document['id']}"
    with pytest.raises(InvalidState, match="decided already"):
        decide(platform, action_id, "fail")
    assert "<form" not in show_action(action_id, memory).body
    assert row(platform, document["id"]).status is S.SUCCEEDED
    assert len(charges(platform, document["id"])) == 1


def test_another_address_opens_nothing(platform: Platform, merchant: MerchantProfile) -> None:
    document = begin(platform, merchant)
    action_id = action_of(document)
    others = [document["id"], f"{document['id']}_{'0' * 32}", action_id[:-1], "x"]
    for other in others:
        with pytest.raises(NotFound):
            decide(platform, other)
    other_payment = platform.paid(merchant)
    with pytest.raises(NotFound):
        decide(platform, f"{other_payment}_{action_id[-32:]}")
    assert row(platform, document["id"]).status is S.REQUIRES_ACTION


def test_a_decision_heard_at_once_from_everywhere_is_booked_once(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    payment_id, action_id = document["id"], action_of(document)

    def hear() -> object:
        return resolve_payment(payment_id, platform.deps(), "notification")

    at_once(lambda: decide(platform, action_id), hear, lambda: decide(platform, action_id), hear)
    hear()
    assert row(platform, payment_id).status is S.SUCCEEDED
    assert len(charges(platform, payment_id)) == 1
    platform.must_agree()


# ------------------------------------------------------------ waiting and expiry


def test_the_resolver_asks_while_the_customer_has_time(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    platform.clock.advance(61)
    report = platform.resolve()
    assert (report.due, report.customer, report.waiting, report.too_old) == (1, 1, 0, 0)
    assert platform.resolve().due == 0, "the next question is later"
    assert json.loads(repeat(platform, merchant).body)["client_secret"]
    _approve_at_the_sandbox(platform, document["id"])
    platform.clock.advance(900)
    assert platform.resolve().resolved == 1
    assert row(platform, document["id"]).status is S.SUCCEEDED


def _approve_at_the_sandbox(platform: Platform, payment_id: str) -> None:
    """Approved, without a notification."""
    from runtime.payments.processors.sandbox.actions import decided  # noqa: PLC0415

    memory = SandboxChargeRepository(platform.store)
    charge = memory.recall(payment_id)
    assert charge is not None
    memory.decide(decided(charge, "approve"), token=f"tst-{payment_id}")


def test_an_expired_action_is_voided_at_the_processor_and_canceled(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    platform.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    assert platform.resolve().resolved == 1
    payment = row(platform, document["id"])
    assert (payment.status, payment.open_bucket, payment.failure_code) == (S.CANCELED, None, None)
    (void,) = [t for t in platform.rows(Transaction) if t.type is TransactionType.VOID]
    assert (void.status, void.reason) == (TransactionStatus.SUCCEEDED, ACTION_EXPIRED)
    assert (void.amount, void.changed_by) == (0, "action expiry")
    final = repeat(platform, merchant)
    assert (final.status, json.loads(final.body)["status"]) == (HTTPStatus.CREATED, "canceled")
    with pytest.raises(InvalidState, match="decided already"):
        decide(platform, action_of(document))
    assert row(platform, document["id"]).status is S.CANCELED
    platform.must_agree()


def test_a_customer_who_approves_just_before_the_void_is_charged_and_booked(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    platform.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    approve = _once(lambda: _approve_at_the_sandbox(platform, document["id"]))
    late = _BeforeVoid(platform.sandbox(), approve)
    platform.resolve(processor=late)  # type: ignore[arg-type]
    payment = row(platform, document["id"])
    assert (payment.status, payment.closing_id) == (S.REQUIRES_ACTION, None)
    assert platform.resolve().resolved == 1
    assert row(platform, document["id"]).status is S.SUCCEEDED
    platform.must_agree()


@pytest.mark.parametrize("decided", ["mended", "approved"])
def test_a_void_that_the_processor_refuses_is_tried_again_at_growing_intervals(
    platform: Platform, merchant: MerchantProfile, decided: str
) -> None:
    document = begin(platform, merchant)
    platform.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    forbidden = _NoVoid(platform.sandbox())
    assert platform.resolve(processor=forbidden).resolved == 1  # type: ignore[arg-type]
    # Asked again at once, because the customer has perhaps just approved; but not voided again.
    assert platform.resolve(processor=forbidden).waiting == 1  # type: ignore[arg-type]
    assert platform.resolve(processor=forbidden).due == 0  # type: ignore[arg-type]
    for _ in range(STEPS_OF_A_DAY):
        platform.clock.advance(timedelta(minutes=15).total_seconds())
        platform.resolve(processor=forbidden)  # type: ignore[arg-type]
    payment = row(platform, document["id"])
    assert (payment.status, payment.closing_id) == (S.REQUIRES_ACTION, None)
    assert 5 < len(payment.transaction_ids) < 12
    if decided == "approved":
        _approve_at_the_sandbox(platform, document["id"])
    platform.clock.advance(timedelta(days=1).total_seconds())
    assert platform.resolve().resolved == 1
    expected = S.CANCELED if decided == "mended" else S.SUCCEEDED
    assert row(platform, document["id"]).status is expected
    platform.must_agree()


def test_a_charge_without_room_for_voids_is_still_asked_about(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    ids = tuple(f"txn_{n}" for n in range(PLATFORMS_VOIDS_BEFORE[S.REQUIRES_ACTION]))
    full = row(platform, document["id"]).model_copy(update={"transaction_ids": ids})
    platform.put(full)
    platform.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    assert platform.resolve().waiting == 1
    assert platform.resolve().due == 0, "the next question is later"
    assert row(platform, document["id"]).transaction_ids == ids
    _approve_at_the_sandbox(platform, document["id"])
    platform.clock.advance(timedelta(minutes=16).total_seconds())
    assert platform.resolve().resolved == 1
    assert row(platform, document["id"]).status is S.SUCCEEDED


class _NoVoid:
    """A processor whose key may charge and read, but not cancel."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def operate(self, request: Any) -> Refused:
        assert request.kind is TransactionType.VOID
        return Refused(None, "processor_configuration", "The key may not do this")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _BeforeVoid:
    """A processor to which something happens just before a void arrives."""

    def __init__(self, inner: Any, happen: Callable[[], None]) -> None:
        self._inner, self._happen = inner, happen

    def operate(self, request: Any) -> Any:
        self._happen()
        return self._inner.operate(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _once(work: Callable[[], None]) -> Callable[[], None]:
    left = [work]

    def run() -> None:
        if left:
            left.pop()()

    return run


# ------------------------------------------------------------ the merchant cancels


def test_a_merchant_cancels_and_the_customer_comes_too_late(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    answer = platform.operate(merchant, document["id"], "cancel")
    assert (answer.status, json.loads(answer.body)["status"]) == (HTTPStatus.OK, "canceled")
    with pytest.raises(InvalidState, match="decided already"):
        decide(platform, action_of(document))
    assert json.loads(repeat(platform, merchant).body)["status"] == "canceled"
    assert not charges(platform, document["id"])


@pytest.mark.parametrize("method", ["automatic", "manual"])
def test_canceling_and_approving_at_once_has_one_outcome(
    platform: Platform, merchant: MerchantProfile, method: str
) -> None:
    document = begin(platform, merchant, capture_method=method)
    payment_id = document["id"]

    def approve() -> object:
        try:
            return decide(platform, action_of(document))
        except InvalidState as canceled:
            return canceled

    def cancel() -> object:
        try:
            return platform.operate(merchant, payment_id, "cancel")
        except InvalidState as already:
            return already

    at_once(approve, cancel)
    platform.clock.advance(120)
    platform.resolve()
    payment = row(platform, payment_id)
    charge = SandboxChargeRepository(platform.store).recall(payment_id)
    assert charge is not None
    expected = {"voided": S.CANCELED, "approved": S.SUCCEEDED, "authorized": S.REQUIRES_CAPTURE}
    assert payment.status is expected[charge.state]
    platform.must_agree()


def test_a_cancellation_whose_answer_is_lost_is_finished_by_the_resolver(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)

    def lose() -> None:
        raise ProcessorUnknown("the answer was lost")

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=lose))
    answer = platform.operate(merchant, document["id"], "cancel", deps=deps)
    assert answer.status == HTTPStatus.ACCEPTED
    assert row(platform, document["id"]).closing_id is not None
    platform.must_agree()
    platform.clock.advance(120)
    platform.resolve()
    assert row(platform, document["id"]).status is S.CANCELED
    assert json.loads(repeat(platform, merchant).body)["status"] == "canceled"


def test_refused_cancellations_leave_room_for_the_charge_a_capture_and_a_refund(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant, capture_method="manual")
    payment_id, most = document["id"], MERCHANTS_VOIDS_BEFORE[S.REQUIRES_ACTION]
    forbidden = platform.deps(processor=_NoVoid(platform.sandbox()))  # type: ignore[arg-type]
    for _ in range(most):
        answer = platform.operate(merchant, payment_id, "cancel", deps=forbidden)
        assert answer.status == HTTPStatus.PAYMENT_REQUIRED
    with pytest.raises(InvalidState, match=f"{most} transactions; another void is not possible"):
        platform.operate(merchant, payment_id, "cancel")
    _approve_at_the_sandbox(platform, payment_id)
    platform.clock.advance(61)
    assert platform.resolve().resolved == 1
    assert row(platform, payment_id).status is S.REQUIRES_CAPTURE
    assert platform.operate(merchant, payment_id, "capture").status == HTTPStatus.OK
    assert platform.operate(merchant, payment_id, "refund").status == HTTPStatus.OK
    read = get_payment(payment_id, platform.call(merchant), platform.payment_reads())
    assert len(read.transactions) == most + 3
    platform.must_agree()


@pytest.mark.parametrize("what", ["capture", "refund"])
def test_nothing_can_be_captured_or_refunded(
    platform: Platform, merchant: MerchantProfile, what: str
) -> None:
    document = begin(platform, merchant, capture_method="manual")
    with pytest.raises(InvalidState, match="is requires_action and cannot be"):
        platform.operate(merchant, document["id"], what)


def test_a_charge_that_was_canceled_at_the_processor_cancels_the_payment(
    platform: Platform, merchant: MerchantProfile
) -> None:
    document = begin(platform, merchant)
    _set_state(platform, document["id"], "voided")
    resolve_payment(document["id"], platform.deps(), "notification")
    payment = row(platform, document["id"])
    assert (payment.status, payment.failure_code) == (S.CANCELED, None)
    (charge,) = charges(platform, document["id"])
    assert (charge.status, charge.response_code) == (TransactionStatus.FAILED, "canceled")


def _set_state(platform: Platform, payment_id: str, state: str) -> None:
    memory = SandboxChargeRepository(platform.store)
    charge = memory.recall(payment_id)
    assert isinstance(charge, SandboxCharge)
    memory.decide(charge.model_copy(update={"state": state}), token=f"tst-{payment_id}")


def test_failed_authentications_count_for_the_lockout(
    platform: Platform, merchant: MerchantProfile
) -> None:
    customer = platform.customer(merchant)
    for number in range(3):
        answer = platform.pay(merchant, f"key-{number}", payment_method=TOKEN, customer_id=customer)
        decide(platform, action_of(json.loads(answer.body)), "fail")
    from runtime.customers.models import Customer  # noqa: PLC0415

    (locked,) = platform.rows(Customer)
    assert locked.locked_until is not None
