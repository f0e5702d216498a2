"""The cache of hot accounts."""

from __future__ import annotations

from runtime.ledger.accounts.models import Account, AccountType, Posting
from runtime.ledger.hot_accounts.known_accounts import KnownHotAccounts
from tests.support.outside import outside

HOT = Account(
    id="acc_hot",
    merchant_id="mer_a",
    account_type=AccountType.WALLET,
    currency="USD",
    posting=Posting.FOLDED,
    created_at="2026-03-14T09:00:00.000Z",
    updated_at="2026-03-14T09:00:00.000Z",
    changed_by="test",
    request_id="req",
    cause="chg_1",
)


def test_a_cached_account_expires() -> None:
    seconds = iter([100.0, 104.9, 105.0])
    folded = KnownHotAccounts(5.0, outside(monotonic=lambda: next(seconds)))
    folded.learn([HOT])
    assert folded.get(HOT.id) == HOT
    assert folded.get(HOT.id) is None


def test_an_account_that_was_never_learned_is_unknown() -> None:
    assert KnownHotAccounts(5.0, outside()).get("acc_other") is None
