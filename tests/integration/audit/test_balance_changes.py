"""Changes of balances in the audit log: each needs a transfer that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from runtime.audit.models import AuditRow
from runtime.core.scope import Scope
from runtime.dynamodb.expressions import put
from runtime.ledger.accounts.models import Account, row_key
from runtime.ledger.entries.models import Entry
from runtime.ledger.hot_accounts.repository import HotAccount, ShardCredit, ShardRepository
from runtime.ledger.rules import receivable_account
from runtime.ledger.transfers.models import Transfer, TransferStatus
from runtime.ledger.transfers.repository import TransferRepository
from tests.support.audit.rows import (
    DONE,
    account,
    audit_projection,
    chain_of,
    debited,
    must_tell,
    next_version,
    outside_alerts,
    records_of,
    reported,
    transfer,
)
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

# ------------------------------------------------------------ balance changes need a transfer


def test_a_balance_change_explained_by_its_transfer_is_the_applications_own(
    either_world: Platform,
) -> None:
    platform = either_world
    first = account(platform)
    states = [first, debited(platform, first, 30)]
    states.append(debited(platform, states[-1], 12))
    records = [
        reported(platform, old, new) for old, new in zip([None, *states], states, strict=False)
    ]
    assert audit_projection(platform)(records) == DONE
    rows = must_tell(platform, states)
    assert [row.action for row in rows] == ["account_opened", "balance_debited", "balance_debited"]
    assert outside_alerts(platform) == []


@pytest.mark.parametrize("shown", ["nothing", "the hold before it was posted"])
def test_a_transfer_visible_a_moment_later_explains_its_balance_change(
    shown: str, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plainly(repository: TransferRepository, ids: Sequence[str], scope: Scope) -> list[Transfer]:
        rows = repository.get_settled(ids, scope) if shown != "nothing" else []
        return [row.model_copy(update={"status": TransferStatus.PENDING}) for row in rows]

    monkeypatch.setattr(TransferRepository, "get_many", plainly)
    first = account(platform)
    second = debited(platform, first, 30)
    assert (
        audit_projection(platform)(
            [reported(platform, None, first), reported(platform, first, second)]
        )
        == DONE
    )
    assert [row.action for row in chain_of(platform, first.id)] == [
        "account_opened",
        "balance_debited",
    ]
    assert outside_alerts(platform) == []


@pytest.mark.parametrize("forged", ["other amount", "no transfer", "not its own", "not moved"])
def test_a_forged_stamp_does_not_hide_a_balance_change(forged: str, platform: Platform) -> None:
    first = account(platform)
    known = transfer(
        platform,
        "acc_z" if forged == "not its own" else first.id,
        30,
        **({"status": "canceled"} if forged == "not moved" else {}),
    )
    cause = "trf_none" if forged == "no transfer" else known.id
    delta = -31 if forged == "other amount" else -30
    second = next_version(first, balance=delta, cause=cause)
    assert (
        audit_projection(platform)(
            [reported(platform, None, first), reported(platform, first, second)]
        )
        == DONE
    )
    rows = chain_of(platform, first.id)
    assert [row.action for row in rows] == ["account_opened", "out_of_band"]
    (alert,) = outside_alerts(platform)
    assert "balance changed by" in str(alert.detail["reason"])


def folded(platform: Platform, **more: Any) -> Account:
    """A hot account whose shard 00 and one balance shard with 70 are stored."""
    row = account(platform, posting="folded", **more)
    shard = row.model_copy(
        update={**row_key(row.id, "03"), "balance": 70, "last_operation_id": "trf_0"}
    )
    platform.store.transact([put(row), put(shard)], token=row.id)
    return row


def consolidated(platform: Platform, account_id: str) -> Account:
    """Row 00 of the account, with what its shards held."""
    ShardRepository(platform.store).consolidate(account_id, lambda _: SETUP, platform.clock())
    (row,) = [row for row in platform.rows(Account) if (row.id, row.shard) == (account_id, "00")]
    return row


def test_a_consolidation_of_an_accounts_own_shards_explains_its_balance(
    either_world: Platform,
) -> None:
    platform = either_world
    first = folded(platform)
    second = consolidated(platform, first.id)
    assert second.balance == 70
    assert audit_projection(platform)(records_of(platform, [first, second])) == DONE
    must_tell(platform, [first, second])
    assert outside_alerts(platform) == []


@pytest.mark.parametrize(
    "forged",
    ["posting", "posting, changed with it", "amount", "no sweep", "a transfer's time", "no id"],
)
def test_a_forged_consolidation_does_not_hide_a_balance_change(
    forged: str, platform: Platform
) -> None:
    first = folded(platform)
    cause, balance = consolidated(platform, first.id).cause, 70
    if forged == "amount":
        balance = 71
    elif forged == "no sweep":
        cause = new_id("swp", platform.clock())
    elif forged == "no id":
        cause = "swp_"
    elif forged == "a transfer's time":
        moved = new_id("trf", platform.clock())
        item = ShardCredit(moved, moved, -70, first.created_at)
        target = HotAccount(first.id, "platform", first.account_type, "USD")
        ShardRepository(platform.store).credit(target, [item], SETUP, platform.clock())
        cause = item.operation_id.replace("trf_", "swp_")
    elif forged.startswith("posting"):
        first = first.model_copy(update={"posting": "immediate"})
    second = next_version(first, balance=balance, cause=cause)
    if forged == "posting, changed with it":
        second = second.model_copy(update={"posting": "folded"})
    assert audit_projection(platform)(records_of(platform, [first, second])) == DONE
    assert [row.action for row in chain_of(platform, first.id)] == ["account_opened", "out_of_band"]
    (alert,) = outside_alerts(platform)
    assert "balance changed by" in str(alert.detail["reason"])


def debited_shard(platform: Platform) -> tuple[Account, Account]:
    """A debit shard of a receivable after a refund of 10, and after another one of 30."""
    receivable = receivable_account("mer_1", "USD")
    debits = {"debited_accounts": (receivable,), "debit_shard": "d07"}
    first, second = (transfer(platform, receivable, amount, **debits) for amount in (10, 30))
    opened = account(platform, **row_key(receivable, "d07"), posting="folded")
    before = opened.model_copy(update={"balance": -10, "cause": first.id})
    return before, next_version(before, balance=-40, cause=second.id)


def test_a_debit_shard_is_explained_by_the_facts_that_it_refers_to(platform: Platform) -> None:
    assert audit_projection(platform)(records_of(platform, debited_shard(platform))) == DONE
    assert platform.rows(AuditRow) == []
    assert outside_alerts(platform) == []


@pytest.mark.parametrize("forged", ["another shard", "row 00", "another amount"])
def test_a_fact_explains_only_its_debit_shard(forged: str, platform: Platform) -> None:
    first, second = debited_shard(platform)
    change: dict[str, Any] = {
        "another shard": row_key(first.account_id, "d08"),
        "row 00": row_key(first.account_id),
        "another amount": {"balance": -41},
    }[forged]
    kept = {name: value for name, value in change.items() if name in ("id", "shard")}
    first, second = first.model_copy(update=kept), second.model_copy(update=change)
    assert audit_projection(platform)(records_of(platform, [first, second])) == DONE
    rows = chain_of(platform, first.id)
    assert rows[-1].action == "out_of_band"


def damage(platform: Platform, table: str, key: dict[str, str]) -> None:
    """Give a row an amount that is not a number."""
    platform.client.update_item(
        TableName=platform.tables[table],
        Key={name: {"S": value} for name, value in key.items()},
        UpdateExpression="SET amount = :text",
        ExpressionAttributeValues={":text": {"S": "many"}},
    )


@pytest.mark.parametrize("forged", [None, "another amount"])
def test_a_consolidation_of_a_debit_shard_is_explained_by_its_entry(
    forged: str | None, platform: Platform
) -> None:
    first, second = debited_shard(platform)
    receivable = account(platform, id=first.account_id, posting="folded")
    platform.store.transact([put(receivable), put(second)], token=new_id("tst", platform.clock()))
    assert consolidated(platform, first.account_id).balance == -40
    (third,) = (row for row in platform.rows(Account) if row.shard == "d07")
    assert third.balance == 0
    if forged is not None:
        third = third.model_copy(update={"balance": -1})
    assert audit_projection(platform)(records_of(platform, [first, second, third])) == DONE
    reasons = [str(alert.detail["reason"]) for alert in outside_alerts(platform)]
    if forged is None:
        assert reasons == []
    else:
        assert len(reasons) == 1
        assert f"changed by 39, but {third.cause} changes it by 40" in reasons[0]


def test_an_entry_that_cannot_be_read_explains_no_consolidation(platform: Platform) -> None:
    first, other = folded(platform), account(platform)
    second = consolidated(platform, first.id)
    (entry,) = (each for each in platform.rows(Entry) if each.operation_id == second.cause)
    damage(platform, "entries", {"account_shard": entry.account_shard, "sequence": entry.sequence})
    records = [*records_of(platform, [first, second]), reported(platform, None, other)]
    assert audit_projection(platform)(records) == DONE
    must_tell(platform, [other])
    (alert,) = outside_alerts(platform)
    assert "is inconsistent" in str(alert.detail["reason"])


def test_a_transfer_that_cannot_be_read_explains_nothing_and_the_others_of_its_batch_do(
    platform: Platform,
) -> None:
    first, other = account(platform), account(platform)
    second, after = debited(platform, first, 30), debited(platform, other, 12)
    damage(platform, "transfers", {"id": second.cause})
    records = [*records_of(platform, [first, second]), *records_of(platform, [other, after])]
    assert audit_projection(platform)(records) == DONE
    must_tell(platform, [other, after])
    (alert,) = outside_alerts(platform)
    assert alert.entity_id == first.id
    assert "is not a transfer" in str(alert.detail["reason"])


def test_an_invalid_transfer_explains_nothing_and_does_not_block_others(
    platform: Platform,
) -> None:
    first, other = account(platform), account(platform)
    known = transfer(platform, first.id, 30, operation_id="pst_1", posted_amount=31)
    second = next_version(first, balance=-30, cause=known.id)
    records = [*records_of(platform, [first, second]), reported(platform, None, other)]
    assert audit_projection(platform)(records) == DONE
    must_tell(platform, [other])
    (alert,) = outside_alerts(platform)
    assert "is inconsistent" in str(alert.detail["reason"])


def test_a_cause_that_is_not_a_key_refers_to_nothing_and_does_not_block_others(
    platform: Platform,
) -> None:
    for cause in ("trf_" + "x" * 3000, "swp_" + "x" * 3000):
        first, other = account(platform, posting="folded"), account(platform)
        records = records_of(platform, [first, next_version(first, balance=1, cause=cause)])
        assert audit_projection(platform)([*records, reported(platform, None, other)]) == DONE
        must_tell(platform, [other])
    assert len(outside_alerts(platform)) == 2
