"""Who may end a hold: on accounts that only operators may use, operators and the schedule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from runtime.core.errors import AlreadyCanceled, AlreadyPosted, Forbidden, PlatformError
from runtime.http.responses import StoredAnswer
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.holds.holds import cancel_transfer, post_transfer
from runtime.ledger.transfers.api import PostRequest
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import TransferRepository
from tests.support.engines.engine import Engine
from tests.support.hot_account_shop import Shop, held

ENDS = ("post", "cancel")
HELD = 900
DAYS_8_SECONDS = 8 * 24 * 3600.0
"""Longer than a hold lasts by default."""


@pytest.fixture
def shop(engine: Engine) -> Iterator[Shop]:
    shop = Shop(engine)
    shop.sell(2_000)
    yield shop
    shop.project()
    shop.ledger.must_be_verified()
    shop.platform.drop()


def by_merchant(shop: Shop, hold: str, end: str, **more: Any) -> StoredAnswer:
    """Post or cancel a hold with the merchant's own token."""
    path, key = f"/v1/transfers/{hold}/{end}", more.pop("key", None) or shop.ledger.fresh_key()
    call = shop.platform.call(shop.merchant, {}, key, path=path)
    deps = more.pop("deps", shop.ledger.calm.deps)
    if end == "post":
        return post_transfer(hold, PostRequest(**more), call, deps)
    return cancel_transfer(hold, call, deps)


def by_operator(shop: Shop, hold: str, end: str, **more: Any) -> StoredAnswer:
    """Post or cancel a hold as an operator who acts for the merchant."""
    order = shop.ledger.post_order if end == "post" else shop.ledger.cancel_order
    return shop.ledger.calm.send(order(hold, **more))


def status_of(shop: Shop, hold: str) -> TransferStatus:
    (row,) = (row for row in shop.platform.rows(Transfer) if row.id == hold)
    return row.status


def answers_about(shop: Shop, hold: str) -> int:
    """The number of answers stored for posts and cancels of a hold."""
    return sum(f"/{hold}/" in row.key for row in shop.platform.rows(IdempotencyRecord))


def hold_of(shop: Shop, *legs: tuple[str, str, int]) -> str:
    """Id of a hold with these legs, made by an operator."""
    names = ("from_account_id", "to_account_id", "amount")
    order = shop.ledger.order(legs=[dict(zip(names, leg, strict=True)) for leg in legs], hold=True)
    answer = shop.ledger.calm.send(order)
    assert answer.status == 201, answer
    shop.project()
    return str(json.loads(answer.body)["id"])


def from_the_receivable(shop: Shop) -> str:
    return hold_of(shop, (shop.receivable, shop.bank, HELD))


def to_the_receivable(shop: Shop) -> str:
    payer = shop.ledger.open(opening=HELD)
    return hold_of(shop, (payer, shop.receivable, HELD))


def to_a_folded_wallet(shop: Shop) -> str:
    payer, busy = shop.ledger.open(opening=HELD), shop.ledger.open(folded=True)
    return hold_of(shop, (payer, busy, HELD))


def one_leg_of_two(shop: Shop) -> str:
    payer = shop.ledger.open(opening=HELD)
    return hold_of(shop, (payer, shop.bank, HELD), (shop.receivable, shop.bank, 1))


def legs_that_cancel_out(shop: Shop) -> str:
    return hold_of(shop, (shop.receivable, shop.bank, 5), (shop.bank, shop.receivable, 5))


HOLDS: tuple[Callable[[Shop], str], ...] = (
    from_the_receivable,
    to_the_receivable,
    to_a_folded_wallet,
    one_leg_of_two,
    legs_that_cancel_out,
)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("make", HOLDS)
def test_a_merchant_cannot_end_a_hold_on_an_account_for_operators(
    shop: Shop, make: Callable[[Shop], str], end: str
) -> None:
    hold = make(shop)
    before = held(shop, shop.receivable), held(shop, shop.bank)
    for _ in range(2):
        with pytest.raises(Forbidden, match=rf"Only operators .* post or cancel {hold}") as refused:
            by_merchant(shop, hold, end, key="once")
        assert refused.value.param is None, "the request has no such field"
    assert (held(shop, shop.receivable), held(shop, shop.bank)) == before
    assert status_of(shop, hold) is TransferStatus.PENDING
    assert answers_about(shop, hold) == 0, "a refusal by permission is not stored"
    assert by_operator(shop, hold, end).status == 200
    assert answers_about(shop, hold) == 1


def test_the_detail_names_the_account(shop: Shop) -> None:
    hold = from_the_receivable(shop)
    with pytest.raises(Forbidden) as refused:
        by_merchant(shop, hold, "post")
    assert refused.value.detail == (
        f"Only operators can transfer from or to {shop.receivable}, and so post or cancel {hold}"
    )


def test_a_merchant_cannot_post_a_part_either(shop: Shop) -> None:
    hold = from_the_receivable(shop)
    with pytest.raises(Forbidden):
        by_merchant(shop, hold, "post", amount=1)
    assert by_operator(shop, hold, "post", amount=HELD - 1).status == 200


class _CountedNot(TransferRepository):
    """Reads holds as those are that were made before they counted `held_in` on hot accounts."""

    def get(self, *args: Any, **more: Any) -> Any:
        row = super().get(*args, **more)
        return row and row.model_copy(update={"held_in_counted": False})


@pytest.mark.parametrize("end", ENDS)
def test_a_merchant_cannot_end_an_older_hold_that_left_no_trace_in_the_hot_account(
    shop: Shop, end: str
) -> None:
    hold = to_the_receivable(shop)
    older = replace(shop.ledger.calm.deps, transfers=_CountedNot(shop.platform.store))
    with pytest.raises(Forbidden, match=shop.receivable):
        by_merchant(shop, hold, end, deps=older)
    assert status_of(shop, hold) is TransferStatus.PENDING


@pytest.mark.parametrize("end", ENDS)
def test_a_merchant_ends_an_operators_hold_between_its_ordinary_accounts(
    shop: Shop, end: str
) -> None:
    payer = shop.ledger.open(opening=HELD)
    hold = hold_of(shop, (payer, shop.bank, HELD))
    answer = by_merchant(shop, hold, end)
    assert answer.status == 200, answer
    moved = HELD if end == "post" else 0
    assert held(shop, payer) == (HELD - moved, 0, 0)
    assert held(shop, shop.bank) == (moved, 0, 0)


@pytest.mark.parametrize(("end", "error"), [("post", AlreadyPosted), ("cancel", AlreadyCanceled)])
def test_a_merchant_learns_that_an_operator_has_ended_the_hold(
    shop: Shop, end: str, error: type[PlatformError]
) -> None:
    hold = from_the_receivable(shop)
    by_operator(shop, hold, end)
    for late in ENDS:
        with pytest.raises(error):
            by_merchant(shop, hold, late)


def test_the_schedule_releases_such_a_hold_when_it_expires(shop: Shop) -> None:
    hold = from_the_receivable(shop)
    with pytest.raises(Forbidden):
        by_merchant(shop, hold, "cancel")
    shop.platform.clock.advance(DAYS_8_SECONDS)
    assert shop.ledger.calm.expire().expired == 1
    assert status_of(shop, hold) is TransferStatus.EXPIRED
    _, held_out, _ = held(shop, shop.receivable)
    assert held_out == 0
