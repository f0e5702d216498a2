"""An account is kept while its payment is in processing, however many newer ones others have."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.core.errors import ProcessorInUse
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.dynamodb.index_shards import payment_open_bucket
from runtime.payments.models import Payment, PaymentStatus
from runtime.payments.processors import configuration
from tests.integration.payments.processors.test_accounts import (
    B,
    Bank,
    bank,
    remove,
    shop_of,
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
