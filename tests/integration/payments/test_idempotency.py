"""One Idempotency-Key, one payment, one charge, however often and whenever it is repeated."""

from __future__ import annotations

import json
import uuid

import pytest

from runtime.core.errors import (
    AlreadyClaimed,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    Unavailable,
)
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import ClaimState, IdempotencyRecord
from runtime.merchants.models import RateLimits
from runtime.payments.repository import PaymentRepository
from tests.support.engines.faults import Fault as F
from tests.support.engines.faults import Faults, ItemLocks, ProcessKilled, at_commit
from tests.support.platform import Hooked, Platform, at_once

DAY = 24 * 3600


@pytest.mark.parametrize("times", [8, 32])
def test_many_concurrent_copies_of_a_request_make_one_payment_and_one_charge(
    either_world: Platform, times: int
) -> None:
    platform = either_world
    merchant = platform.merchant()
    deps = platform.deps()
    results = at_once(*[lambda: platform.pay(merchant, "one-key", deps=deps)] * times)
    answers = [each for each in results if isinstance(each, StoredAnswer)]
    refusals = [each for each in results if not isinstance(each, StoredAnswer)]
    assert {type(each) for each in refusals} <= {IdempotencyInFlight}
    assert len(answers) >= 1
    assert {(each.status, each.body) for each in answers} == {(201, answers[0].body)}
    assert [each.replayed for each in answers].count(False) == 1
    assert len(platform.payments()) == len(platform.charges()) == 1
    assert platform.pay(merchant, "one-key") == answers[0].again()
    platform.must_agree()


def test_conflicts_between_copies_of_a_request_are_hidden_from_the_callers(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    locks = ItemLocks(platform.key_names, hold_seconds=0.005)
    deps_list = [
        platform.deps(
            platform.store_on(locks.attach(platform.engine.dynamodb()), sleep=_short, seed=n)
        )
        for n in range(8)
    ]
    results = at_once(*[lambda d=deps: platform.pay(merchant, "k", deps=d) for deps in deps_list])
    assert {type(each) for each in results} <= {StoredAnswer, IdempotencyInFlight}
    assert locks.conflicts > 0
    assert len(platform.charges()) == 1
    platform.must_agree()


def _short(seconds: float) -> None:
    import time  # noqa: PLC0415

    time.sleep(min(seconds, 0.05))


def test_a_repetition_gets_the_stored_answer_of_a_success_verbatim(platform: Platform) -> None:
    merchant = platform.merchant()
    first = platform.pay(merchant, "k")
    again = platform.pay(merchant, "k")
    assert (first.status, first.replayed) == (201, False)
    assert again == first.again()
    assert len(platform.charges()) == 1


def test_a_repetition_gets_the_stored_answer_of_a_decline_verbatim(platform: Platform) -> None:
    merchant = platform.merchant()
    first = platform.pay(merchant, "k", payment_method="tok_insufficient_funds")
    assert first.status == 402
    reported = json.loads(first.body)
    assert reported["decline_code"] == "insufficient_funds"
    assert reported["payment_id"] == platform.payment().id
    assert platform.pay(merchant, "k", payment_method="tok_insufficient_funds") == first.again()
    assert platform.charges() == []


def test_a_business_refusal_is_stored_and_repeated_even_after_the_limit_is_raised(
    platform: Platform,
) -> None:
    merchant = platform.merchant(rate_limits=RateLimits(max_payment_amount=500))
    first = platform.pay(merchant, "k", amount=501)
    assert (first.status, json.loads(first.body)["code"]) == (422, "amount_too_large")
    assert platform.pay(merchant, "k", amount=501) == first.again()
    assert platform.payments() == []
    with pytest.raises(IdempotencyKeyReused):
        platform.pay(merchant, "k", amount=400)


def test_the_same_key_with_another_body_is_refused_and_charges_nothing(platform: Platform) -> None:
    merchant = platform.merchant()
    platform.pay(merchant, "k", amount=1000)
    with pytest.raises(IdempotencyKeyReused, match="different request"):
        platform.pay(merchant, "k", amount=1001)
    assert [charge.amount for charge in platform.charges()] == [1000]


def test_another_body_is_refused_while_the_first_request_is_still_running(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    _die_after_the_intent(platform, merchant)
    with pytest.raises(IdempotencyKeyReused):
        platform.pay(merchant, "k", amount=7)
    with pytest.raises(IdempotencyInFlight):
        platform.pay(merchant, "k")


def test_two_merchants_may_use_the_same_key_for_different_requests(platform: Platform) -> None:
    one, other = platform.merchant(), platform.merchant()
    assert platform.pay(one, "k", amount=1).replayed is False
    assert platform.pay(other, "k", amount=2).replayed is False
    assert sorted(charge.amount for charge in platform.charges()) == [1, 2]


def test_a_completed_key_can_be_reused_after_its_answer_expires(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    first = platform.pay(merchant, "k", amount=1)
    platform.clock.advance(DAY - 60)
    assert platform.pay(merchant, "k", amount=1) == first.again()
    platform.clock.advance(120)
    assert platform.pay(merchant, "k", amount=2).replayed is False
    assert sorted(charge.amount for charge in platform.charges()) == [1, 2]


def test_an_unfinished_claim_never_expires(platform: Platform) -> None:
    merchant = platform.merchant()
    _die_after_the_intent(platform, merchant)
    (claim,) = platform.claims()
    assert (claim.state, claim.expires_at) == (ClaimState.IN_PROGRESS, None)
    platform.clock.advance(400 * DAY)
    with pytest.raises(IdempotencyInFlight):
        platform.pay(merchant, "k")


def test_an_expired_key_is_taken_by_exactly_one_of_many_concurrent_requests(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    platform.pay(merchant, "k", amount=1)
    platform.clock.advance(DAY + 60)
    deps = platform.deps()
    at_once(*[lambda: platform.pay(merchant, "k", deps=deps, amount=2)] * 8)
    assert sorted(charge.amount for charge in platform.charges()) == [1, 2]
    platform.must_agree()


def test_an_outcome_is_booked_even_if_its_claim_was_taken_away(platform: Platform) -> None:
    merchant = platform.merchant()

    def take_the_claim() -> None:
        (claim,) = platform.claims()
        stolen = claim.model_copy(update={"owner": "another owner"})
        item = platform.store.codec.to_item(stolen)
        platform.client.put_item(TableName=platform.tables["idempotency"], Item=item)

    deps = platform.deps(processor=Hooked(platform.sandbox(), after=take_the_claim))
    assert platform.pay(merchant, "k", deps=deps).status == 201
    assert platform.payment().status == "succeeded"
    (claim,) = platform.claims()
    assert (claim.owner, claim.state) == ("another owner", ClaimState.IN_PROGRESS)
    platform.must_agree()


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_an_answer_lost_beyond_the_token_lifetime_is_still_recognized(
    platform: Platform, commit: int
) -> None:
    merchant = platform.merchant()
    client = Faults(at_commit(commit, F.ANSWER_LOST)).attach(platform.engine.dynamodb())

    def forget_tokens(params: dict[str, object], **_: object) -> dict[str, object]:
        return {**params, "ClientRequestToken": uuid.uuid4().hex}

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", forget_tokens)
    answer = platform.pay(merchant, "k", deps=platform.deps(platform.store_on(client)))
    assert (answer.status, answer.replayed) == (201, False)
    assert platform.pay(merchant, "k") == answer.again()
    assert len(platform.charges()) == 1
    platform.must_agree()


def test_the_claim_takes_precedence_over_the_customer(platform: Platform) -> None:
    merchant = platform.merchant()
    customer = platform.customer(merchant)
    platform.pay(merchant, "k", customer_id=customer)
    platform.client.delete_item(TableName=platform.tables["customers"], Key={"id": {"S": customer}})
    assert platform.pay(merchant, "k", customer_id=customer).replayed


def test_a_committed_claim_with_a_lost_answer_beyond_all_retries_is_finished_later(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    faults = Faults(lambda op, n: F.ANSWER_LOST if op == "TransactWriteItems" else None)
    store = platform.store_on(
        faults.attach(platform.engine.dynamodb()), remaining_seconds=_runs_out(3)
    )
    with pytest.raises(Unavailable):
        platform.pay(merchant, "k", deps=platform.deps(store))
    with pytest.raises(IdempotencyInFlight):
        platform.pay(merchant, "k")
    platform.resolve_until_quiet()
    assert platform.pay(merchant, "k").status == 402
    platform.must_agree()


def test_answers_are_stored_encrypted(platform: Platform) -> None:
    merchant = platform.merchant()
    answer = platform.pay(merchant, "k", description="very private")
    (item,) = platform.client.scan(TableName=platform.tables["idempotency"])["Items"]
    assert "private" in answer.body
    assert "B" in item["response_body"]
    assert b"private" not in item["response_body"]["B"]


def test_taking_a_claim_returns_its_owner(platform: Platform) -> None:
    merchant = platform.merchant()
    payment, claim = _die_after_the_intent(platform, merchant)
    second = claim.model_copy(update={"owner": "second"})
    other = payment.model_copy(update={"id": f"{payment.id}X"})
    with pytest.raises(AlreadyClaimed) as refused:
        PaymentRepository(platform.store).begin(other, second, platform.clock())
    assert refused.value.record == claim


def _die_after_the_intent(platform: Platform, merchant):  # type: ignore[no-untyped-def]
    faults = Faults(at_commit(1, F.KILLED_AFTER))
    store = platform.store_on(faults.attach(platform.engine.dynamodb()))
    with pytest.raises(ProcessKilled):
        platform.pay(merchant, "k", deps=platform.deps(store))
    (claim,) = platform.rows(IdempotencyRecord)
    return platform.payment(), claim


def _runs_out(calls: int):  # type: ignore[no-untyped-def]
    left = [60.0] * calls
    return lambda: left.pop() if left else 0.0
