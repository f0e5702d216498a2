"""KMS outages: no money movement begins without keys, and a movement under way is still booked."""

from __future__ import annotations

import pytest

from runtime.core.errors import KeysUnavailable
from runtime.idempotency.models import ClaimState
from runtime.payments.models import PaymentStatus
from tests.support.platform import Hooked, Platform


def test_without_keys_no_payment_begins_and_nothing_is_charged(platform: Platform) -> None:
    merchant = platform.merchant()
    platform.lose_keys()
    with pytest.raises(KeysUnavailable, match="not available"):
        platform.pay(merchant, "k")
    platform.kms.available = True
    assert (platform.payments(), platform.charges(), platform.claims()) == ([], [], [])
    assert platform.pay(merchant, "k").status == 201


@pytest.mark.parametrize(("token", "status"), [("tok_approved", 201), ("tok_declined", 402)])
def test_a_charge_is_booked_although_keys_become_unavailable_during_it(
    platform: Platform, token: str, status: int
) -> None:
    merchant = platform.merchant()
    deps = platform.deps(processor=Hooked(platform.sandbox(), after=platform.lose_keys))
    answer = platform.pay(merchant, "k", deps=deps, payment_method=token)
    assert answer.status == status
    platform.kms.available = True
    again = platform.pay(merchant, "k", payment_method=token)
    assert (again.status, again.body, again.replayed) == (status, answer.body, True)
    assert len(platform.payments()) == 1
    platform.must_agree()


def test_the_resolver_books_outcomes_without_keys(platform: Platform) -> None:
    merchant = platform.merchant()
    assert platform.pay(merchant, "k", payment_method="tok_timeout").status == 202
    platform.lose_keys()
    platform.resolve_until_quiet()
    platform.kms.available = True
    assert platform.payment().status is PaymentStatus.SUCCEEDED
    (claim,) = platform.claims()
    assert claim.state is ClaimState.IN_PROGRESS
    assert platform.pay(merchant, "k", payment_method="tok_timeout").status == 201
    platform.must_agree()
