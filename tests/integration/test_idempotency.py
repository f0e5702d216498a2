"""One Idempotency-Key, one payment, one charge: whoever asks, however often, at whatever moment."""

from __future__ import annotations

import json
import uuid

import pytest

from runtime.contract.answers import StoredAnswer
from runtime.errors import AlreadyClaimed, IdempotencyInFlight, IdempotencyKeyReused, Unavailable
from runtime.models.idempotency import ClaimState, IdempotencyRecord
from runtime.models.merchant import RateLimits
from runtime.repositories.payments import PaymentRepository
from tests.support.faults import Fault as F
from tests.support.faults import Faults, ItemLocks, ProcessKilled, at_commit
from tests.support.world import Hooked, World, at_once

DAY = 24 * 3600


@pytest.mark.parametrize("times", [8, 32])
def test_the_same_request_many_times_at_once_makes_one_payment_and_one_charge(
    either_world: World, times: int
) -> None:
    world = either_world
    merchant = world.merchant()
    desk = world.desk()
    results = at_once(*[lambda: world.pay(merchant, "one-key", desk=desk)] * times)
    answers = [each for each in results if isinstance(each, StoredAnswer)]
    refusals = [each for each in results if not isinstance(each, StoredAnswer)]
    assert {type(each) for each in refusals} <= {IdempotencyInFlight}
    assert len(answers) >= 1
    assert {(each.status, each.body) for each in answers} == {(201, answers[0].body)}
    assert [each.replayed for each in answers].count(False) == 1
    assert len(world.payments()) == len(world.charges()) == 1
    assert world.pay(merchant, "one-key") == answers[0].again()
    world.must_agree()


def test_conflicts_between_the_same_requests_change_nothing_for_the_callers(world: World) -> None:
    merchant = world.merchant()
    locks = ItemLocks(world.key_names, hold_seconds=0.005)
    desks = [
        world.desk(world.store_on(locks.attach(world.engine.dynamodb()), sleep=_short, seed=n))
        for n in range(8)
    ]
    results = at_once(*[lambda d=desk: world.pay(merchant, "k", desk=d) for desk in desks])
    assert {type(each) for each in results} <= {StoredAnswer, IdempotencyInFlight}
    assert locks.conflicts > 0
    assert len(world.charges()) == 1
    world.must_agree()


def _short(seconds: float) -> None:
    import time  # noqa: PLC0415

    time.sleep(min(seconds, 0.05))


def test_a_repetition_gets_the_exact_stored_answer_of_a_success(world: World) -> None:
    merchant = world.merchant()
    first = world.pay(merchant, "k")
    again = world.pay(merchant, "k")
    assert (first.status, first.replayed) == (201, False)
    assert again == first.again()
    assert len(world.charges()) == 1


def test_a_repetition_gets_the_exact_stored_answer_of_a_decline(world: World) -> None:
    merchant = world.merchant()
    first = world.pay(merchant, "k", payment_method="tok_insufficient_funds")
    assert first.status == 402
    told = json.loads(first.body)
    assert told["decline_code"] == "insufficient_funds"
    assert told["payment_id"] == world.payment().id
    assert world.pay(merchant, "k", payment_method="tok_insufficient_funds") == first.again()
    assert world.charges() == []


def test_a_business_refusal_is_stored_and_repeated_even_after_the_limit_was_raised(
    world: World,
) -> None:
    merchant = world.merchant(rate_limits=RateLimits(max_payment_amount=500))
    first = world.pay(merchant, "k", amount=501)
    assert (first.status, json.loads(first.body)["code"]) == (422, "amount_too_large")
    assert world.pay(merchant, "k", amount=501) == first.again()
    assert world.payments() == []
    with pytest.raises(IdempotencyKeyReused):
        world.pay(merchant, "k", amount=400)


def test_the_same_key_with_another_body_is_refused_and_charges_nothing(world: World) -> None:
    merchant = world.merchant()
    world.pay(merchant, "k", amount=1000)
    with pytest.raises(IdempotencyKeyReused, match="another request"):
        world.pay(merchant, "k", amount=1001)
    assert [charge.amount for charge in world.charges()] == [1000]


def test_another_body_is_refused_while_the_first_request_is_still_running(world: World) -> None:
    merchant = world.merchant()
    _die_after_the_intent(world, merchant)
    with pytest.raises(IdempotencyKeyReused):
        world.pay(merchant, "k", amount=7)
    with pytest.raises(IdempotencyInFlight):
        world.pay(merchant, "k")


def test_two_merchants_may_use_the_same_key_for_different_things(world: World) -> None:
    one, other = world.merchant(), world.merchant()
    assert world.pay(one, "k", amount=1).replayed is False
    assert world.pay(other, "k", amount=2).replayed is False
    assert sorted(charge.amount for charge in world.charges()) == [1, 2]


def test_a_completed_key_can_be_taken_again_when_its_answer_was_kept_long_enough(
    world: World,
) -> None:
    merchant = world.merchant()
    first = world.pay(merchant, "k", amount=1)
    world.clock.advance(DAY - 60)
    assert world.pay(merchant, "k", amount=1) == first.again()
    world.clock.advance(120)
    assert world.pay(merchant, "k", amount=2).replayed is False
    assert sorted(charge.amount for charge in world.charges()) == [1, 2]


def test_an_unfinished_claim_never_expires(world: World) -> None:
    merchant = world.merchant()
    _die_after_the_intent(world, merchant)
    (claim,) = world.claims()
    assert (claim.state, claim.expires_at) == (ClaimState.IN_PROGRESS, None)
    world.clock.advance(400 * DAY)
    with pytest.raises(IdempotencyInFlight):
        world.pay(merchant, "k")


def test_an_expired_key_is_taken_by_exactly_one_of_many_at_once(world: World) -> None:
    merchant = world.merchant()
    world.pay(merchant, "k", amount=1)
    world.clock.advance(DAY + 60)
    desk = world.desk()
    at_once(*[lambda: world.pay(merchant, "k", desk=desk, amount=2)] * 8)
    assert sorted(charge.amount for charge in world.charges()) == [1, 2]
    world.must_agree()


def test_an_outcome_is_booked_even_if_its_claim_was_taken_away(world: World) -> None:
    merchant = world.merchant()

    def somebody_takes_the_claim() -> None:
        (claim,) = world.claims()
        stolen = claim.model_copy(update={"owner": "somebody else"})
        item = world.store.codec.to_item(stolen)
        world.client.put_item(TableName=world.tables["idempotency"], Item=item)

    desk = world.desk(processor=Hooked(world.sandbox(), after=somebody_takes_the_claim))
    assert world.pay(merchant, "k", desk=desk).status == 201
    assert world.payment().status == "succeeded"
    (claim,) = world.claims()
    assert (claim.owner, claim.state) == ("somebody else", ClaimState.IN_PROGRESS)
    world.must_agree()


@pytest.mark.parametrize("commit", [1, 2, 3])
def test_an_answer_lost_for_longer_than_dynamodb_knows_its_token_is_still_ours(
    world: World, commit: int
) -> None:
    merchant = world.merchant()
    client = Faults(at_commit(commit, F.ANSWER_LOST)).attach(world.engine.dynamodb())

    def forget_tokens(params: dict[str, object], **_: object) -> dict[str, object]:
        return {**params, "ClientRequestToken": uuid.uuid4().hex}

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", forget_tokens)
    answer = world.pay(merchant, "k", desk=world.desk(world.store_on(client)))
    assert (answer.status, answer.replayed) == (201, False)
    assert world.pay(merchant, "k") == answer.again()
    assert len(world.charges()) == 1
    world.must_agree()


def test_the_claim_is_judged_before_the_customer(world: World) -> None:
    merchant = world.merchant()
    customer = world.customer(merchant)
    world.pay(merchant, "k", customer_id=customer)
    world.client.delete_item(TableName=world.tables["customers"], Key={"id": {"S": customer}})
    assert world.pay(merchant, "k", customer_id=customer).replayed


def test_a_claim_that_committed_with_its_answer_lost_beyond_all_retries_is_finished_later(
    world: World,
) -> None:
    merchant = world.merchant()
    faults = Faults(lambda op, n: F.ANSWER_LOST if op == "TransactWriteItems" else None)
    store = world.store_on(faults.attach(world.engine.dynamodb()), remaining_seconds=_runs_out(3))
    with pytest.raises(Unavailable):
        world.pay(merchant, "k", desk=world.desk(store))
    with pytest.raises(IdempotencyInFlight):
        world.pay(merchant, "k")
    world.resolve_until_quiet()
    assert world.pay(merchant, "k").status == 402
    world.must_agree()


def test_answers_are_stored_enciphered(world: World) -> None:
    merchant = world.merchant()
    answer = world.pay(merchant, "k", description="very private")
    (item,) = world.client.scan(TableName=world.tables["idempotency"])["Items"]
    assert "private" in answer.body
    assert "B" in item["response_body"]
    assert b"private" not in item["response_body"]["B"]


def test_taking_a_claim_tells_who_has_it(world: World) -> None:
    merchant = world.merchant()
    payment, claim = _die_after_the_intent(world, merchant)
    second = claim.model_copy(update={"owner": "second"})
    other = payment.model_copy(update={"id": f"{payment.id}X"})
    with pytest.raises(AlreadyClaimed) as refused:
        PaymentRepository(world.store).begin(other, second, world.clock())
    assert refused.value.record == claim


def _die_after_the_intent(world: World, merchant):  # type: ignore[no-untyped-def]
    faults = Faults(at_commit(1, F.KILLED_AFTER))
    store = world.store_on(faults.attach(world.engine.dynamodb()))
    with pytest.raises(ProcessKilled):
        world.pay(merchant, "k", desk=world.desk(store))
    (claim,) = world.rows(IdempotencyRecord)
    return world.payment(), claim


def _runs_out(calls: int):  # type: ignore[no-untyped-def]
    left = [60.0] * calls
    return lambda: left.pop() if left else 0.0
