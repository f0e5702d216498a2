"""Timelines read with the permissions of the function behind GET, on a world's tables."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.audit.chain import GENESIS, sealed, version_key
from runtime.audit.models import AuditRow, EntityType
from runtime.audit.repository import AuditRepository
from runtime.core.errors import NotFound
from runtime.ledger.transfers.repository import TransferRepository
from runtime.merchants.models import MerchantProfile
from runtime.merchants.repository import MerchantRepository
from runtime.payments.repository import PaymentRepository
from runtime.reconciliation.settlements.models import LineStatus, SettlementLine
from runtime.reconciliation.transactions.repository import TransactionLists
from runtime.settings import QuerySettings
from runtime.timeline import timeline as timeline_module
from runtime.timeline.api import TimelineAnswer
from runtime.timeline.timeline import TimelineReads, get_timeline
from runtime.webhooks.repository import WebhookRepository
from tests.support.iam_guard import restrict_to
from tests.support.outside import OUTSIDE
from tests.support.platform import SETUP, Platform


@pytest.fixture
def reads(platform: Platform) -> TimelineReads:
    client = platform.engine.dynamodb()
    restrict_to(client, QuerySettings.TABLE_USES, platform.tables)
    store = platform.store_on(client)
    return TimelineReads(
        payments=PaymentRepository(store),
        transfers=TransferRepository(store),
        lines=TransactionLists(store),
        audit=AuditRepository(store),
        merchants=MerchantRepository(store),
        webhooks=WebhookRepository(store),
        outside=OUTSIDE,
    )


def audited(platform: Platform, entity: str, owner: str, version: int, at: str) -> None:
    """A row of the audit log about a version of a payment, in no list."""
    row = AuditRow(
        entity_id=entity,
        sequence=version_key(version),
        action_bucket="payment_succeeded#001",
        timestamp=at,
        entity_type=EntityType.PAYMENT,
        version=version,
        action="payment_succeeded",
        user_id="user",
        merchant_id=owner,
        new_values={"status": "succeeded"},
        request_id="req_1",
        prev_hash=GENESIS,
    )
    platform.put(sealed(row))


def kinds(found: TimelineAnswer) -> list[str]:
    return [each.kind.value for each in found.events]


def of(platform: Platform, shop: MerchantProfile, payment: str, reads: Any) -> TimelineAnswer:
    return get_timeline(payment, platform.call(shop), reads)


def test_a_payments_rows_of_all_tables_are_in_its_timeline(
    platform: Platform, reads: TimelineReads
) -> None:
    shop = platform.merchant()
    payment = platform.paid(shop)
    [row] = reads.payments.transactions_of(platform.payment())
    line = SettlementLine(
        settlement_bucket="set_A#000",
        line=7,
        settlement_id="set_A",
        merchant_id=shop.id,
        transaction_id=row.id,
        status=LineStatus.MATCHED,
        amount=1000,
        currency="USD",
        created_at=row.created_at,
        updated_at=row.updated_at,
        **SETUP.stamp(),
    )
    platform.put(line)
    audited(platform, payment, shop.id, 2, row.created_at)
    found = of(platform, shop, payment, reads)
    assert sorted(kinds(found)) == [
        "audit",
        "created",
        "posting",
        "settlement_line",
        "transaction",
    ]
    assert found.complete
    by_kind = {each.kind.value: each for each in found.events}
    assert (by_kind["settlement_line"].id, by_kind["settlement_line"].line) == ("set_A", 7)
    assert (by_kind["audit"].id, by_kind["audit"].request_id) == (payment, "req_1")
    posted = reads.transfers.get_many([by_kind["posting"].id], platform.call(shop).scope)
    assert [each.payment_id for each in posted] == [payment]


def test_another_merchants_payment_has_no_timeline(
    platform: Platform, reads: TimelineReads
) -> None:
    payment = platform.paid(platform.merchant())
    with pytest.raises(NotFound):
        of(platform, platform.merchant(), payment, reads)


def test_a_timeline_that_leaves_rows_out_says_so(
    platform: Platform, reads: TimelineReads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "MAX_ROWS", 3)
    shop = platform.merchant()
    payment = platform.paid(shop)
    for version in range(1, 5):
        at = f"2026-03-14T10:00:0{version}.000Z"
        audited(platform, payment, shop.id, version, at)
        found = of(platform, shop, payment, reads)
        assert found.complete is (version <= 3)
    shown = [each.sequence for each in found.events if each.kind.value == "audit"]
    assert shown == [version_key(version) for version in (2, 3, 4)]
