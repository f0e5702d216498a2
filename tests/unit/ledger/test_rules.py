"""The ledger's arithmetic: no legs create or destroy money."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.errors import (
    CurrencyMismatch,
    Forbidden,
    InactiveAccount,
    InsufficientFunds,
    Locked,
    PlatformError,
)
from runtime.customers.lockout_rules import is_locked
from runtime.ledger.accounts.models import Account
from runtime.ledger.accounts.rules import Terms, first_refusal, ownership_refusal
from runtime.ledger.entries.models import (
    consolidation_key,
    credit_partition,
    credit_partitions,
    is_credit_partition,
)
from runtime.ledger.rules import (
    TRANSITIONS,
    Movement,
    chart_account,
    final_legs,
    may_become,
    movements_at_once,
    movements_of_hold,
    movements_of_post,
    movements_of_release,
    net_by_account,
    posted_legs,
    total_of,
)
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus

NOW = "2026-03-14T12:00:00.000Z"
LATER = "2026-03-14T12:30:00.000Z"
ACCOUNTS = ("acc_a", "acc_b", "acc_c", "acc_d")

legs = st.lists(
    st.builds(
        Leg,
        from_account_id=st.sampled_from(ACCOUNTS),
        to_account_id=st.sampled_from(ACCOUNTS),
        amount=st.integers(1, 10**12),
    ).filter(lambda leg: leg.from_account_id != leg.to_account_id),
    min_size=1,
    max_size=20,
).map(tuple)


def summed(*operations: tuple[Movement, ...]) -> dict[str, tuple[int, int, int]]:
    """The total change per account of several operations, without zeros."""
    sums: dict[str, Counter[str]] = {}
    for movement in (each for operation in operations for each in operation):
        change = sums.setdefault(movement.account_id, Counter())
        change["balance"] += movement.balance
        change["held_out"] += movement.held_out
        change["held_in"] += movement.held_in
    triples = {a: (c["balance"], c["held_out"], c["held_in"]) for a, c in sums.items()}
    return {account: change for account, change in triples.items() if any(change)}


@given(legs)
def test_movements_sum_to_zero(given_legs: tuple[Leg, ...]) -> None:
    assert sum(net_by_account(given_legs).values()) == 0
    assert sum(each.balance for each in movements_at_once(given_legs)) == 0
    held = movements_of_hold(given_legs)
    assert sum(each.held_out for each in held) == sum(each.held_in for each in held)
    assert all(each.balance == 0 and each.held_out >= 0 <= each.held_in for each in held)


@given(legs)
def test_a_released_hold_changes_nothing_and_a_posted_hold_equals_a_transfer(
    given_legs: tuple[Leg, ...],
) -> None:
    held = movements_of_hold(given_legs)
    assert summed(held, movements_of_release(given_legs)) == {}
    posted = movements_of_post(given_legs, total_of(given_legs))
    assert summed(held, posted) == summed(movements_at_once(given_legs))


@given(st.integers(1, 10**12), st.data())
def test_a_partial_post_moves_the_part_and_releases_the_rest(
    amount: int, data: st.DataObject
) -> None:
    part = data.draw(st.integers(1, amount))
    one = (Leg(from_account_id="acc_a", to_account_id="acc_b", amount=amount),)
    both = summed(movements_of_hold(one), movements_of_post(one, part))
    assert both == {"acc_a": (-part, 0, 0), "acc_b": (part, 0, 0)}
    assert total_of(posted_legs(one, part)) == part


def test_final_legs_of_a_hold_have_the_posted_amount() -> None:
    leg = Leg(from_account_id="acc_a", to_account_id="acc_b", amount=100)
    at_once = a_transfer(legs=(leg, leg), amount=150, operation_id="trf_1")
    assert final_legs(at_once) == (leg, leg)
    posted = a_transfer(legs=(leg,), posted_amount=30, operation_id="pst_1")
    assert [each.amount for each in final_legs(posted)] == [30]


def test_only_an_open_hold_can_change_its_status() -> None:
    for status in TransferStatus:
        allowed = {after for after in TransferStatus if may_become(status, after)}
        assert allowed == set(TRANSITIONS.get(status, ()))
        assert bool(allowed) == (status is TransferStatus.PENDING)


@given(st.text())
def test_the_entry_of_every_credit_is_in_one_of_the_partitions(transfer_id: str) -> None:
    assert credit_partition("acc_x", transfer_id) in credit_partitions("acc_x")


def test_the_partition_of_a_credit_never_changes() -> None:
    """Pinned values: if the function changed, replayed records would be credited twice."""
    assert credit_partition("acc_x", "trf_01J00000000000000000000000") == "acc_x#e20"
    assert len(credit_partitions("acc_x")) == len(set(credit_partitions("acc_x"))) == 64
    assert all(is_credit_partition(each) for each in credit_partitions("acc_x"))
    assert not any(is_credit_partition(f"acc_x#{each}") for each in ("00", "07", "d07"))


def test_a_consolidation_has_an_entry_of_its_own_for_each_shard() -> None:
    keys = [consolidation_key("acc_x", each, "swp_1") for each in ("01", "65", "d01")]
    assert keys == [("acc_x#e00", "1#01"), ("acc_x#e00", "1#65"), ("acc_x#d01", "1")]


@pytest.mark.parametrize(
    ("account_id", "owner"),
    [
        ("acc_clearing_USD", "platform"),
        ("acc_fees_USD", "platform"),
        ("acc_opening_USD", "platform"),
        ("acc_receivable_mer_1_USD", "mer_1"),
        ("acc_receivable_mer_2_USD", None),
        ("acc_clearing_EUR", None),
        ("acc_01J", None),
    ],
)
def test_the_chart_contains_exactly_its_accounts(account_id: str, owner: str | None) -> None:
    found = chart_account(account_id, "mer_1", "USD")
    assert (found and found.merchant_id) == owner


# ------------------------------------------------------------ refusals


def an_account(**changes: object) -> Account:
    values = {
        "id": "acc_a",
        "merchant_id": "mer_1",
        "account_type": "wallet",
        "currency": "USD",
        "balance": 100,
        "spendable": 100,
        "created_at": NOW,
        "updated_at": NOW,
        "changed_by": "x",
        "request_id": "x",
        "cause": "x",
        **changes,
    }
    return Account.model_validate(values)


def a_transfer(**changes: object) -> Transfer:
    values = {
        "id": "trf_1",
        "operation_id": "trf_1",
        "amount": 100,
        "currency": "USD",
        "status": "processed",
        "created_at": NOW,
        "updated_at": NOW,
        "changed_by": "x",
        "request_id": "x",
        "cause": "x",
        **changes,
    }
    return Transfer.model_validate(values)


TERMS = Terms(owner="mer_1", ordinary_only=True, currency="USD", at=NOW)
DEBIT, CREDIT = Movement("acc_a", balance=-50), Movement("acc_a", balance=50)
HOLD = Movement("acc_a", held_out=50)


@pytest.mark.parametrize(
    ("changes", "movement", "expected"),
    [
        ({}, DEBIT, None),
        ({}, CREDIT, None),
        ({}, HOLD, None),
        ({"spendable": 50}, DEBIT, None),
        ({"spendable": 49}, DEBIT, InsufficientFunds),
        ({"spendable": 49}, HOLD, InsufficientFunds),
        ({"spendable": -1}, CREDIT, None),
        ({"status": "inactive"}, CREDIT, InactiveAccount),
        ({"status": "closed"}, DEBIT, InactiveAccount),
        ({"currency": "EUR"}, CREDIT, CurrencyMismatch),
        ({"locked_until": LATER}, DEBIT, Locked),
        ({"locked_until": LATER}, CREDIT, None),
        ({"locked_until": NOW}, DEBIT, None),
        ({"account_type": "system"}, CREDIT, Forbidden),
        ({"posting": "folded"}, CREDIT, Forbidden),
        ({"status": "closed", "currency": "EUR", "spendable": 0}, DEBIT, InactiveAccount),
        ({"currency": "EUR", "locked_until": LATER, "spendable": 0}, DEBIT, CurrencyMismatch),
        ({"locked_until": LATER, "spendable": 0}, DEBIT, Locked),
    ],
)
def test_account_rules_are_checked_in_the_specified_order(
    changes: dict[str, object], movement: Movement, expected: type[PlatformError] | None
) -> None:
    refusal = first_refusal([(movement, an_account(**changes))], TERMS)
    assert (refusal and type(refusal)) == expected


def test_a_rule_with_higher_precedence_on_another_account_comes_first() -> None:
    short = (DEBIT, an_account(spendable=0))
    closed = (Movement("acc_b", balance=50), an_account(id="acc_b", status="closed"))
    refusal = first_refusal([short, closed], TERMS)
    assert isinstance(refusal, InactiveAccount)
    assert refusal.param == "to_account_id"


def test_another_owners_account_is_not_found_whatever_else_is_wrong() -> None:
    theirs = an_account(merchant_id="mer_2", status="closed", currency="EUR")
    refusal = ownership_refusal([(DEBIT, theirs)], TERMS)
    assert refusal is not None
    assert refusal.code == "not_found"
    operator = Terms(owner=None, ordinary_only=False, currency="USD", at=NOW)
    assert ownership_refusal([(DEBIT, theirs)], operator) is None


def test_a_lock_ends_at_its_timestamp() -> None:
    assert is_locked(LATER, NOW)
    assert not is_locked(NOW, NOW)
    assert not is_locked(None, NOW)
