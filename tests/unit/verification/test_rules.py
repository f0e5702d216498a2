"""Verification arithmetic: order and interruptions do not matter, and every unit counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.core.ids import highest_id
from runtime.ledger.entries.models import entry_partition, version_sequence
from runtime.ledger.rules import final_legs, net_by_account, operation_time, postings
from runtime.ledger.transfers.models import Leg, Transfer, TransferStatus
from runtime.verification.accounts.rules import BalanceRow, Line, Reading, Step
from runtime.verification.rules import (
    MAX_NAMED_VIOLATIONS,
    CheckName,
    CurrencySums,
    Findings,
    Tally,
    Window,
    bucket_of,
    differing,
    is_newer,
    is_posting,
    report_of,
)
from tests.support.outside import new_id

NOW = datetime(2026, 3, 14, 9, 0, tzinfo=UTC)
AT = "2026-03-14T09:00:00.000Z"
CUT_MARK = operation_time(highest_id("cut", NOW))
WINDOW = Window(CUT_MARK)
BEFORE = new_id("trf", NOW - timedelta(seconds=1))
AFTER = new_id("trf", NOW + timedelta(seconds=1))

amounts = st.integers(-(10**12), 10**12).filter(bool)
posting_lists = st.lists(
    st.tuples(
        st.sampled_from([f"trf_{n}" for n in range(40)]),
        st.sampled_from(["acc_a", "acc_b", "acc_c"]),
        amounts,
    ),
    max_size=60,
)


def tally_of(postings_: Sequence[tuple[str, str, int]]) -> Tally:
    tally = Tally()
    for transfer_id, account_id, amount in postings_:
        tally.post(transfer_id, transfer_id, account_id, amount)
        tally.sums("USD").entries += amount
    return tally


@given(posting_lists, st.integers(0, 60), st.randoms(use_true_random=False))
def test_fingerprints_add_up_in_any_order_and_grouping(
    made: list[tuple[str, str, int]], cut: int, dice: Random
) -> None:
    whole = tally_of(made)
    shuffled = dice.sample(made, len(made))
    first, second = tally_of(shuffled[:cut]), tally_of(shuffled[cut:])
    resumed = Tally.model_validate_json(first.model_dump_json())
    resumed.add(second)
    second.add(first)
    assert not differing(whole.prints, resumed.prints)
    assert not differing(whole.prints, second.prints)
    assert resumed.sums("USD") == second.sums("USD") == whole.sums("USD")


@given(posting_lists.filter(bool), st.data())
def test_a_difference_of_one_unit_shows_in_exactly_its_bucket(
    made: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(made) - 1))
    transfer_id, account_id, amount = made[position]
    other = data.draw(
        st.sampled_from(
            [
                [(transfer_id, account_id, amount + 1)],
                [(transfer_id, account_id, amount - 1)],
                [(transfer_id, "acc_else", amount)],
                [],
                [made[position]] * 2,
            ]
        )
    )
    changed = [*made[:position], *other, *made[position + 1 :]]
    before, after = tally_of(made).prints, tally_of(changed).prints
    assert differing(before, after) == [bucket_of(transfer_id)]


@given(st.lists(st.integers(0, 80), max_size=6))
def test_all_violations_are_counted_and_only_the_first_are_listed(parts: list[int]) -> None:
    together = Findings()
    for part, number in enumerate(parts):
        findings = Findings()
        findings.count(CheckName.SPENDABLE, number + 1)
        for each in range(number):
            findings.violated(CheckName.SPENDABLE, f"acc_{part}_{each}", 1, 2)
        together.add(Findings.model_validate_json(findings.model_dump_json()))
    check = together.of(CheckName.SPENDABLE)
    assert check.violated == sum(parts)
    assert check.counted == sum(parts) + len(parts)
    assert len(check.named) == min(sum(parts), MAX_NAMED_VIOLATIONS)
    assert len({violation.id for violation in check.named}) == len(check.named)


# -------------------------------------------------------------------- postings


@given(
    st.lists(
        st.builds(
            Leg,
            from_account_id=st.sampled_from(["acc_a", "acc_b", "acc_c"]),
            to_account_id=st.sampled_from(["acc_a", "acc_b", "acc_c"]),
            amount=st.integers(2, 10**10),
        ),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
    st.booleans(),
)
def test_a_processed_transfer_posts_what_its_final_legs_move(
    legs: list[Leg], held: bool, in_part: bool
) -> None:
    total = sum(leg.amount for leg in legs)
    posted = total - 1 if held and in_part and len(legs) == 1 else total
    transfer = Transfer(
        id="trf_1",
        operation_id="pst_2" if held else "trf_1",
        legs=tuple(legs),
        amount=total,
        currency="USD",
        status=TransferStatus.PROCESSED,
        posted_amount=posted,
        created_at=AT,
        updated_at=AT,
        changed_by="test",
        request_id="test",
        cause="test",
    )
    found = postings(transfer.operation_id, "processed", transfer.legs, posted)
    moved = net_by_account(final_legs(transfer))
    assert found == {account: net for account, net in moved.items() if net}
    assert sum((found or {}).values()) == 0


@pytest.mark.parametrize("status", [s for s in TransferStatus if s is not TransferStatus.PROCESSED])
def test_a_transfer_that_is_not_processed_posts_nothing(status: TransferStatus) -> None:
    leg = Leg(from_account_id="acc_a", to_account_id="acc_b", amount=5)
    assert postings("trf_1", status, (leg,), None) == {}


@pytest.mark.parametrize("posted", [0, -1, 11])
def test_legs_that_contradict_the_posted_amount_give_none(posted: int) -> None:
    leg = Leg(from_account_id="acc_a", to_account_id="acc_b", amount=10)
    assert postings("pst_2", "processed", (leg,), posted) is None


def test_a_partial_post_of_a_hold_with_several_legs_is_a_contradiction() -> None:
    leg = Leg(from_account_id="acc_a", to_account_id="acc_b", amount=10)
    assert postings("pst_2", "processed", (leg, leg), 19) is None


def test_holds_status_changes_and_consolidations_are_not_postings() -> None:
    assert is_posting(BEFORE, 1, folded=True)
    assert not is_posting(BEFORE, 0, folded=True)
    assert not is_posting("swp_01", 1, folded=True)


def test_a_consolidation_of_an_immediate_account_is_a_posting_without_a_transfer() -> None:
    assert is_posting("swp_01", 1, folded=False)
    lines = profile_lines([5], operation="swp_01")
    row = row_of(lines)
    assert read(row, lines).tally.prints, "it is compared with the transfers"
    folded = read(row.model_copy(update={"posting": "folded"}), lines)
    assert not folded.tally.prints
    assert folded.from_the_start().folded


@given(st.integers(-(10**6), 10**6), st.sampled_from(["trf", "pst", "swp", "exp"]))
def test_an_operation_is_newer_than_the_cut_by_its_own_time_alone(late: int, kind: str) -> None:
    operation = new_id(kind, NOW + timedelta(milliseconds=late))
    assert is_newer(operation, CUT_MARK) == (late > 0)


# -------------------------------------------------------------------- rows


def profile_lines(changes: Sequence[int], operation: str = BEFORE) -> list[Line]:
    """Entries of row 00, one per version."""
    lines, balance = [], 0
    for version, amount in enumerate(changes, start=1):
        balance += amount
        lines.append(
            Line(
                account_shard=entry_partition("acc_x", "00"),
                sequence=version_sequence(version),
                transfer_id="trf_t",
                operation_id=operation,
                account_id="acc_x",
                amount=amount,
                balance_after=balance,
            )
        )
    return lines


def row_of(lines: Sequence[Line], shard: str = "00") -> BalanceRow:
    version = max((line.version for line in lines), default=0)
    balance = sum(line.amount for line in lines)
    return BalanceRow(id="acc_x", shard=shard, currency="USD", version=version, balance=balance)


def read(row: BalanceRow, lines: Sequence[Line], *, stop_at: int = -1) -> Reading:
    """A complete reading. At `stop_at` it is saved and resumed."""
    reading = Reading.of(row)
    for number, line in enumerate(lines):
        if number == stop_at:
            reading = Reading.model_validate_json(reading.model_dump_json(exclude_defaults=True))
        assert reading.offer(line, WINDOW, may_wait=False) is Step.TAKEN
    reading.finish(row)
    return reading


def broken(reading: Reading) -> set[str]:
    return {name.value for name, check in reading.findings.checks.items() if check.violated}


changes_of_a_row = st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=30)


@given(changes_of_a_row, st.integers(-1, 30))
def test_a_correct_row_agrees_wherever_its_reading_was_interrupted(
    changes: list[int], stop_at: int
) -> None:
    lines = profile_lines(changes)
    reading = read(row_of(lines), lines, stop_at=stop_at)
    assert reading.agrees
    assert not broken(reading)
    whole = read(row_of(lines), lines)
    assert reading.tally == whole.tally
    assert reading.findings == whole.findings
    assert reading.tally.sums("USD") == CurrencySums(balances=sum(changes), entries=sum(changes))


@given(changes_of_a_row, st.data())
def test_a_difference_of_one_unit_is_found_at_its_version(
    changes: list[int], data: st.DataObject
) -> None:
    lines = profile_lines(changes)
    row = row_of(lines)
    position = data.draw(st.integers(0, len(lines) - 1))
    changed = lines[position].model_copy(update={"amount": lines[position].amount + 1})
    reading = read(row, [*lines[:position], changed, *lines[position + 1 :]])
    assert broken(reading) >= {"account_entries", "running_balances"}
    (named,) = reading.findings.of(CheckName.RUNNING_BALANCES).named
    assert named.id == changed.name
    balance = lines[position].balance_after
    assert (named.expected, named.found) == ((balance or 0) + 1, balance)


@given(changes_of_a_row, st.data())
def test_a_missing_entry_is_waited_for_and_then_reported(
    changes: list[int], data: st.DataObject
) -> None:
    lines = profile_lines(changes)
    row = row_of(lines)
    gone = data.draw(st.integers(0, len(lines) - 1))
    left = [*lines[:gone], *lines[gone + 1 :]]
    waiting = Reading.of(row)
    taken = [waiting.offer(line, WINDOW, may_wait=True) for line in left]
    assert taken[:gone] == [Step.TAKEN] * gone
    assert Step.TAKEN not in taken[gone:]
    assert not waiting.agrees
    assert waiting.may_be_late(row)
    for line in lines[gone:]:
        waiting.offer(line, WINDOW, may_wait=True)
    assert waiting.agrees

    impatient = read(row, left)
    named = impatient.findings.of(CheckName.ACCOUNT_ENTRIES).named[0]
    assert named.expected == f"version {gone + 1}"
    assert named.found == (f"version {gone + 2}" if gone + 1 < len(lines) else "no entry")


@given(changes_of_a_row, st.data())
def test_entries_may_arrive_in_any_order_and_before_their_row_version(
    changes: list[int], data: st.DataObject
) -> None:
    lines = profile_lines(changes)
    row = row_of(lines[: data.draw(st.integers(1, len(lines)))])
    there: list[Line] = []
    reading = Reading.of(row)
    for line in data.draw(st.permutations(lines)):
        there = sorted([*there, line], key=lambda each: each.sequence)
        ahead = [each for each in there if each.sequence > (reading.after or "")]
        for each in ahead:
            if reading.offer(each, WINDOW, may_wait=True) is Step.GAP:
                break
    assert reading.agrees
    reading.finish(row_of(lines))
    assert not broken(reading)


def test_an_entry_newer_than_its_row_is_reported() -> None:
    lines = profile_lines([5, 6])
    row = row_of(lines[:1])
    assert broken(read(row, lines)) == {"account_entries"}


def test_an_entry_added_while_the_row_changed_is_not_a_violation() -> None:
    lines = profile_lines([5, 6])
    reading = Reading.of(row_of(lines[:1]))
    for line in lines:
        reading.offer(line, WINDOW, may_wait=True)
    assert reading.agrees
    reading.finish(row_of(lines))
    assert not broken(reading)
    assert reading.tally.sums("USD").balances == 5


def test_operations_newer_than_the_cut_are_not_counted() -> None:
    old, new = profile_lines([5, 7])[0], profile_lines([5, 7], AFTER)[1]
    reading = read(row_of([old, new]), [old, new])
    assert not broken(reading)
    assert reading.tally.sums("USD") == CurrencySums(balances=5, entries=5)


@pytest.mark.parametrize("amount", [3, 5])
def test_a_balance_shard_is_exactly_the_sum_of_its_entries(amount: int) -> None:
    lines = [
        Line(
            account_shard=entry_partition("acc_x", "07"),
            sequence=f"{n}",
            transfer_id="trf_t",
            operation_id=BEFORE,
            account_id="acc_x",
            amount=4,
            fold_version=n,
        )
        for n in (1, 2)
    ]
    row = row_of(lines, "07")
    sound = read(row, lines)
    assert not broken(sound)
    wrong = read(row, [lines[0], lines[1].model_copy(update={"amount": amount})])
    assert broken(wrong) == {"account_entries"}
    nameless = read(row, [lines[0], lines[1].model_copy(update={"fold_version": None})])
    named = {violation.id for violation in nameless.findings.of(CheckName.ACCOUNT_ENTRIES).named}
    assert named == {"acc_x#07@2", "acc_x#07"}


# -------------------------------------------------------------------- conservation


@given(st.lists(amounts, max_size=20), st.lists(amounts, max_size=20), st.integers(-5, 5))
def test_a_credit_after_its_row_was_read_does_not_create_money(
    counted: list[int], late: list[int], created: int
) -> None:
    """The counted entries differ from zero by the late entries."""
    late = [*late, -sum(counted) - sum(late)]
    sums = CurrencySums(balances=sum(counted) + created, entries=sum(counted))
    assert sum(counted) + sum(late) == 0
    assert sums.created == created


def test_a_deleted_entry_with_its_amount_is_reported_as_destroyed_money() -> None:
    assert CurrencySums(balances=-7, entries=-7, unexplained=-7).created == -7
    assert CurrencySums(balances=0, entries=-7, unexplained=-7).created == 0


def test_a_report_holds_only_if_every_check_holds() -> None:
    tally = Tally(currencies={"USD": CurrencySums(balances=1), "JPY": CurrencySums()})
    times = {"run_id": "prf_1", "as_of": AT, "completed_at": AT}
    report = report_of(Findings(), tally, **times)
    assert not report.holds
    assert [check.name for check in report.checks] == list(CheckName)
    (conservation,) = (check for check in report.checks if not check.holds)
    assert conservation.counted == 2
    assert [(v.id, v.expected, v.found) for v in conservation.violations] == [("USD", 0, 1)]
    assert report_of(Findings(), Tally(), **times).holds
