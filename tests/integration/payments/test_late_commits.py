"""An intent that is committed after it was sent again and refused: it counts, and is finished."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.core.errors import IdempotencyInFlight
from runtime.http.responses import StoredAnswer
from runtime.merchants.models import MerchantProfile
from tests.support.engines.late_commits import LateCommit
from tests.support.platform import Platform

AGAIN, THIRD = 2, 3
"""Commits of a request: of its intent, the same again, and the one after that was refused."""


@pytest.fixture
def merchant(platform: Platform) -> MerchantProfile:
    return platform.merchant()


def refundable(platform: Platform, payment_id: str, amount: int) -> None:
    """Other refunds begin, or are declined: so much of 1000 is left."""
    platform.engine.dynamodb().update_item(
        TableName=platform.store.tables["payments"],
        Key={"id": {"S": payment_id}},
        UpdateExpression="SET refundable_minor = :left",
        ExpressionAttributeValues={":left": {"N": str(amount)}},
    )


def refund_late(
    platform: Platform, merchant: MerchantProfile, payment_id: str, **body: Any
) -> StoredAnswer:
    """A refund whose intent is refused at the second try, and arrives before the third commit."""
    late = LateCommit(
        platform.engine.dynamodb(),
        THIRD,
        {
            AGAIN: lambda: refundable(platform, payment_id, 400),
            THIRD: lambda: refundable(platform, payment_id, 1000),
        },
    )
    try:
        deps = platform.deps(platform.store_on(late.client))
        return platform.operate(merchant, payment_id, "refund", "r1", deps=deps, **body)
    finally:
        assert late.outcome == "done"


def test_a_refund_that_begins_before_its_refusal_is_stored_is_in_flight_and_finished(
    platform: Platform, merchant: MerchantProfile
) -> None:
    payment_id = platform.paid(merchant, amount=1000)
    with pytest.raises(IdempotencyInFlight):
        refund_late(platform, merchant, payment_id, amount=700)
    platform.clock.advance(120)
    platform.resolve()
    again = platform.operate(merchant, payment_id, "refund", "r1", amount=700)
    assert again.status == 200
    assert platform.payment().amount_refunded == 700
    platform.must_agree()


def test_a_full_refund_that_begins_late_refunds_the_amount_that_it_began_with(
    platform: Platform, merchant: MerchantProfile
) -> None:
    payment_id = platform.paid(merchant, amount=1000)
    answer = refund_late(platform, merchant, payment_id)
    assert (answer.status, answer.replayed) == (200, False)
    assert platform.payment().amount_refunded == 1000
    platform.must_agree()
