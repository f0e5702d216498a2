"""Debit shards of hot accounts, and the balances that a guarded debit requires."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.change_context import ChangeContext
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.hot_accounts.repository import HotAccount
from runtime.ledger.hot_accounts.rules import (
    DEBIT_SHARDS,
    MAX_CREDIT_SHARDS,
    HotBalance,
    accounts_of_fact,
    debit_shard,
    debit_shards,
    is_debit_shard,
    shards_of,
    shared_out,
)
from runtime.ledger.rules import (
    capture_legs,
    clearing_account,
    dispute_legs,
    fees_account,
    receivable_account,
    refund_legs,
    reversal_legs,
)
from runtime.reconciliation.matching.flows import flow_legs
from runtime.reconciliation.settlements.models import Flows

RECEIVABLE = receivable_account("mer_1", "USD")
CLEARING, FEES = clearing_account("USD"), fees_account("USD")
balances = st.integers(-(10**12), 10**12)


@given(st.integers(0, 10**15), st.integers(1, 100))
def test_parts_add_up_to_the_whole_and_differ_by_at_most_one(amount: int, parts: int) -> None:
    shared = shared_out(amount, parts)
    assert (len(shared), sum(shared)) == (parts, amount)
    assert max(shared) - min(shared) <= 1


@given(st.data(), balances, st.integers(1, 10**12))
def test_a_debit_stays_covered_whatever_facts_take_within_the_limits(
    data: st.DataObject, spendable: int, amount: int
) -> None:
    debits = {
        shard: -data.draw(st.integers(0, 10**6), label=shard) for shard in debit_shards()[:5]
    } | dict.fromkeys(debit_shards()[5:], 0)
    credited = data.draw(st.integers(0, 10**12), label="credited")
    seen = HotBalance(7, spendable, credited + sum(debits.values()), debits)
    least = seen.least_debits(amount)
    if seen.total < amount:
        assert least == {}
        return
    assert set(least) == set(debit_shards())
    assert all(least[shard] <= debits[shard] for shard in debits)
    assert spendable + credited + sum(least.values()) == amount


def test_an_account_without_fact_debits_needs_no_debit_shard_checks() -> None:
    assert HotBalance(1, 100, 50, {}).least_debits(150) == {}
    assert shards_of("acc_01", 16) == tuple(f"{n:02d}" for n in range(1, 17))
    assert len(shards_of(RECEIVABLE, 16)) == 16 + DEBIT_SHARDS
    assert shards_of("acc_01", MAX_CREDIT_SHARDS)[-1] == "256"


def test_an_edited_number_of_credit_shards_makes_no_more_of_them() -> None:
    edited = Account(
        id="acc_01",
        account_type="system",
        currency="USD",
        posting="folded",
        credit_shards=10**12,
        created_at="2026-03-14T09:00:00.000Z",
        updated_at="2026-03-14T09:00:00.000Z",
        **ChangeContext(changed_by="test", request_id="req_1", cause="chg_1").stamp(),
    )
    assert shards_of(edited.id, edited.credit_shards) == shards_of(edited.id, MAX_CREDIT_SHARDS)
    assert HotAccount.of(edited).credit_shards == MAX_CREDIT_SHARDS, "all that are credited"


def test_debit_shards_sort_after_row_00_and_differ_from_credit_shards() -> None:
    assert all(shard > PROFILE_SHARD for shard in shards_of(RECEIVABLE, 16))
    assert [is_debit_shard(each) for each in (PROFILE_SHARD, "01", "16", "d00", "d63")] == [
        *[False] * 3,
        *[True] * 2,
    ]


def test_debit_shards_are_chosen_by_id_and_spread_evenly() -> None:
    assert debit_shard("trf_01J00000000000000000000000") == "d20"
    found = Counter(debit_shard(f"trf_{n:026d}") for n in range(6_400))
    assert set(found) == set(debit_shards())
    assert max(found.values()) < 160


@given(st.lists(st.text(min_size=1), max_size=DEBIT_SHARDS))
def test_facts_in_one_commit_never_share_a_shard(ids: list[str]) -> None:
    taken: list[str] = []
    for each in ids:
        taken.append(debit_shard(each, taken))
    assert len(set(taken)) == len(ids)


@pytest.mark.parametrize(
    ("legs", "debited"),
    [
        (capture_legs("mer_1", "USD", 1_000, 29), ()),
        (capture_legs("mer_1", "USD", 10, 30), (RECEIVABLE,)),
        (capture_legs("mer_1", "USD", 30, 30), ()),
        (refund_legs("mer_1", "USD", 500), (RECEIVABLE,)),
        (dispute_legs("mer_1", "USD", 500, 1_500), (RECEIVABLE,)),
        (dispute_legs("mer_1", "USD", -500, 0), ()),
        (reversal_legs("mer_1", "USD", 500), ()),
        (flow_legs(Flows(net=971, fee=29), "mer_1", "USD"), (RECEIVABLE,)),
        (flow_legs(Flows(net=-20, fee=30), "mer_1", "USD"), ()),
    ],
    ids=[
        "sale",
        "fee above",
        "fee alike",
        "refund",
        "chargeback",
        "dispute won",
        "returned",
        "settled",
        "net below",
    ],
)
def test_a_fact_debits_only_receivables_with_a_negative_net_immediately(
    legs: tuple[object, ...], debited: tuple[str, ...]
) -> None:
    accounts = accounts_of_fact("trf_1", legs)  # type: ignore[arg-type]
    assert accounts["debited_accounts"] == debited
    assert (accounts["debit_shard"] is not None) == bool(debited)
    named = {*accounts["folded_accounts"], *debited}
    assert named <= {CLEARING, RECEIVABLE, FEES}
    assert len(named) == len(accounts["folded_accounts"]) + len(debited)
