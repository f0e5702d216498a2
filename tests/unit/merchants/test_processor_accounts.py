"""The keys that are kept when a merchant moves between processor accounts."""

from __future__ import annotations

from typing import Any

from runtime.merchants.models import Merchant, ProcessorAccount
from runtime.merchants.processor_accounts import EarlierAccounts, accounts_after_move

Kept = tuple[ProcessorAccount, Any]
THEN, NOW = "2026-11-29T00:00:00.000Z", "2026-11-30T00:00:00.000Z"
OLD, NEW, NEWER = {"api_key": "old"}, {"api_key": "new"}, {"api_key": "newer"}


def merchant(account: str | None, config: Any, *earlier: Kept) -> Merchant:
    return Merchant(
        id="mer_1",
        email="a@b.example",
        name="Shop",
        processor="stripe",
        processor_account=account,
        processor_config=config,
        earlier_accounts=tuple(each for each, _ in earlier),
        earlier_configs={each.config_key: keys for each, keys in earlier},
        webhook_secret="whsec_x",
        created_at=THEN,
        updated_at=THEN,
        changed_by="test",
        request_id="test",
        cause="test",
    )


def left(account: str | None, config: Any, at: str = NOW) -> Kept:
    return ProcessorAccount(processor="stripe", account=account, left_at=at), config


def after(row: Merchant, account: str, config: Any, *, moves: bool) -> tuple[Kept, ...]:
    uses = ProcessorAccount(processor="stripe", account=account, left_at=NOW)
    earlier = accounts_after_move(row, uses, config, moves=moves)
    assert set(earlier.configs) == {each.config_key for each in earlier.accounts}
    return tuple((each, earlier.configs[each.config_key]) for each in earlier.accounts)


def test_moving_keeps_the_keys_of_the_former_account() -> None:
    assert after(merchant("acct_1", OLD), "acct_2", NEW, moves=True) == (left("acct_1", OLD),)


def test_a_new_key_of_the_same_account_replaces_the_old_one() -> None:
    earlier = left("acct_0", OLD, THEN)
    assert after(merchant("acct_1", OLD, earlier), "acct_1", NEW, moves=False) == (earlier,)


def test_returning_to_an_account_keeps_only_its_latest_key() -> None:
    row = merchant("acct_2", NEW, left("acct_1", OLD, THEN))
    assert after(row, "acct_1", NEWER, moves=True) == (left("acct_2", NEW),)


def test_the_account_of_payments_without_an_account_keeps_its_keys_without_a_name() -> None:
    assert after(merchant(None, OLD), "acct_1", OLD, moves=False) == (left(None, OLD),)
    assert after(merchant(None, OLD), "acct_1", NEW, moves=False) == (left(None, NEW),)
    assert after(merchant(None, OLD), "acct_2", NEW, moves=True) == (left(None, OLD),)


def test_a_new_key_of_that_account_also_serves_payments_without_an_account() -> None:
    named = merchant("acct_1", OLD, left(None, OLD, THEN))
    assert after(named, "acct_1", NEW, moves=False) == (left(None, NEW, THEN),)
    moved = merchant("acct_2", NEW, left(None, OLD, THEN), left("acct_1", OLD, THEN))
    assert after(moved, "acct_1", NEWER, moves=True) == (
        left(None, NEWER, THEN),
        left("acct_2", NEW),
    )
    another = merchant("acct_2", NEW, left(None, OLD, THEN))
    assert after(another, "acct_2", NEWER, moves=False) == (left(None, OLD, THEN),)


def test_kept_keys_are_not_shown_when_accounts_are_printed() -> None:
    shown = repr(EarlierAccounts.of(merchant("acct_2", NEW, left("acct_1", {"api_key": "sk_x"}))))
    assert "acct_1" in shown
    assert "sk_x" not in shown
