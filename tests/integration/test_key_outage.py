"""KMS away: before money moves nothing begins; afterwards everything is booked all the same."""

from __future__ import annotations

import pytest

from runtime.errors import KeysUnavailable
from runtime.models.idempotency import ClaimState
from runtime.models.payment import PaymentStatus
from tests.support.world import Hooked, World


def test_without_keys_no_payment_is_begun_and_nothing_is_charged(world: World) -> None:
    merchant = world.merchant()
    world.lose_keys()
    with pytest.raises(KeysUnavailable, match="not available"):
        world.pay(merchant, "k")
    world.kms.available = True
    assert (world.payments(), world.charges(), world.claims()) == ([], [], [])
    assert world.pay(merchant, "k").status == 201


@pytest.mark.parametrize(("token", "status"), [("tok_approved", 201), ("tok_declined", 402)])
def test_keys_that_go_away_during_the_charge_do_not_keep_it_from_being_booked(
    world: World, token: str, status: int
) -> None:
    merchant = world.merchant()
    desk = world.desk(processor=Hooked(world.sandbox(), after=world.lose_keys))
    answer = world.pay(merchant, "k", desk=desk, payment_method=token)
    assert answer.status == status
    world.kms.available = True
    again = world.pay(merchant, "k", payment_method=token)
    assert (again.status, again.body, again.replayed) == (status, answer.body, True)
    assert len(world.payments()) == 1
    world.must_agree()


def test_the_resolver_books_what_it_learns_also_without_keys(world: World) -> None:
    merchant = world.merchant()
    assert world.pay(merchant, "k", payment_method="tok_timeout").status == 202
    world.lose_keys()
    world.resolve_until_quiet()
    world.kms.available = True
    assert world.payment().status is PaymentStatus.SUCCEEDED
    (claim,) = world.claims()
    assert claim.state is ClaimState.IN_PROGRESS
    assert world.pay(merchant, "k", payment_method="tok_timeout").status == 201
    world.must_agree()
