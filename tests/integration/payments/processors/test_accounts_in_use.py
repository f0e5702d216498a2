"""An account is kept while a payment is open there, however many newer ones are elsewhere."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

import pytest

from runtime.core.errors import ProcessorInUse
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import payment_open_bucket
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors import configuration
from tests.integration.payments.processors.test_accounts import (
    B,
    Bank,
    bank,
    kept,
    remove,
    shop_of,
    unseeing,
    use_key,
)
from tests.support.outside import new_id
from tests.support.platform import Platform

__all__ = ["bank"]


def in_processing(platform: Platform, row: Payment, begun: str) -> Payment:
    """The payment as it was before its outcome."""
    lease = timedelta(seconds=platform.timing.intent_lease_seconds)
    changes = {
        "status": PaymentStatus.PROCESSING,
        "open_bucket": payment_open_bucket(row.merchant_id, row.id, 1),
        "next_action_at": to_timestamp(to_datetime(begun) + lease),
    }
    return row.model_copy(update=changes)


def test_a_payment_in_processing_is_found_behind_newer_ones_of_others(
    bank: Bank, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = shop_of(bank)
    stuck = platform.paid(shop, deps=bank.payment_dependencies())
    row = platform.payment()
    use_key(bank, shop, B)
    mine = in_processing(platform, row, row.created_at)
    platform.put(mine)
    platform.clock.advance(3_600)
    monkeypatch.setattr(configuration, "MAX_OPEN_READ", 3)
    for _ in range(5):
        other = row.model_copy(
            update={"id": new_id("pay", platform.clock()), "merchant_id": "mer_other"}
        )
        newer = in_processing(platform, other, to_timestamp(platform.clock()))
        platform.put(newer.model_copy(update={"open_bucket": mine.open_bucket}))
    with pytest.raises(ProcessorInUse, match=stuck):
        remove(bank, shop, "acct_A")


@pytest.mark.parametrize(
    ("seconds_later", "newer"),
    [(1_200, 6), (60, 3)],
    ids=["after every payment at the account began", "while payments may still begin there"],
)
def test_an_authorization_is_found_behind_newer_ones_at_the_next_account(
    bank: Bank, platform: Platform, monkeypatch: pytest.MonkeyPatch, seconds_later: int, newer: int
) -> None:
    shop, held = moved_while_authorized(bank, platform)
    platform.clock.advance(seconds_later)
    authorize(bank, platform, shop, newer)
    limit(monkeypatch)
    with pytest.raises(ProcessorInUse, match=held):
        remove(bank, shop, "acct_A")
    assert ("acct_A", False) in kept(bank, shop)
    platform.operate(shop, held, "cancel", deps=bank.payment_dependencies())
    assert remove(bank, shop, "acct_A").status == HTTPStatus.NO_CONTENT


def test_an_account_is_kept_while_not_all_open_payments_can_be_checked(
    bank: Bank, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, held = moved_while_authorized(bank, platform)
    platform.clock.advance(60)
    authorize(bank, platform, shop, 5)
    limit(monkeypatch)
    with pytest.raises(ProcessorInUse, match="more than 4 open payments from before 20"):
        remove(bank, shop, "acct_A")
    platform.operate(shop, held, "cancel", deps=bank.payment_dependencies())
    with pytest.raises(ProcessorInUse, match="more than 4 open payments"):
        remove(bank, shop, "acct_A")
    assert ("acct_A", False) in kept(bank, shop)


def moved_while_authorized(bank: Bank, platform: Platform) -> tuple[MerchantProfile, str]:
    """A merchant at account B, and its authorization at A that the move did not see."""
    shop = shop_of(bank)
    held = platform.paid(shop, deps=bank.payment_dependencies(), capture_method="manual")
    use_key(bank, shop, B, unseeing(bank.merchant_dependencies()))
    return shop, held


def authorize(bank: Bank, platform: Platform, shop: MerchantProfile, payments: int) -> None:
    """Authorize payments at the account in use."""
    for _ in range(payments):
        platform.paid(shop, deps=bank.payment_dependencies(), capture_method="manual")


def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read two open payments at a time, and four at most."""
    monkeypatch.setattr(configuration, "MAX_CHECKED", 2)
    monkeypatch.setattr(configuration, "MAX_OPEN_READ", 4)
