"""Histories that one order explains, and histories that none does."""

from __future__ import annotations

import random

import pytest

from simulation.watch.linearizability import (
    NEVER,
    Outcome,
    PowerRead,
    PowerTransfer,
    power_faults,
    powers_in,
)

DONE, REFUSED, UNKNOWN = Outcome.DONE, Outcome.REFUSED, Outcome.UNKNOWN


def moved(power, began, ended, outcome=DONE, after=None):
    return PowerTransfer(power, began, NEVER if outcome is UNKNOWN else ended, outcome, after)


def read(powers, began, ended):
    return PowerRead(sum(1 << power for power in powers), began, ended, "acc_1")


def test_a_sum_names_its_powers():
    assert powers_in(0b1011) == (0, 1, 3)
    assert powers_in(0) == ()


GOOD = {
    "nothing": ([], []),
    "a read in the middle of a transfer sees it": ([moved(0, 1, 5)], [read([0], 2, 3)]),
    "a read in the middle of a transfer does not see it": ([moved(0, 1, 5)], [read([], 2, 3)]),
    "transfers that overlap take effect in either order": (
        [moved(0, 1, 5), moved(1, 2, 6)],
        [read([1], 3, 4), read([0, 1], 7, 8)],
    ),
    "reads that overlap may see more and then less": (
        [moved(0, 0, 9)],
        [read([0], 1, 5), read([], 2, 6)],
    ),
    "a transfer without an answer happened": ([moved(0, 1, 2, UNKNOWN)], [read([0], 3, 4)]),
    "a transfer without an answer never happened": ([moved(0, 1, 2, UNKNOWN)], [read([], 3, 4)]),
    "a transfer without an answer happens late": (
        [moved(0, 1, 2, UNKNOWN)],
        [read([], 100, 101), read([0], 200, 201)],
    ),
    "a refused one is in no read": ([moved(0, 1, 2, REFUSED)], [read([], 3, 4)]),
    "answers say what was there before": (
        [moved(0, 1, 5, after=0b1), moved(1, 2, 6, after=0b11)],
        [],
    ),
}


@pytest.mark.parametrize(("transfers", "reads"), GOOD.values(), ids=GOOD)
def test_one_order_explains(transfers, reads):
    assert power_faults(transfers, reads) == []


BAD = {
    "an acknowledged transfer is not seen": ([moved(0, 1, 2)], [read([], 3, 4)]),
    "a transfer is seen before it began": ([moved(0, 5, 6)], [read([0], 3, 4)]),
    "a refused transfer is seen": ([moved(0, 1, 2, REFUSED)], [read([0], 3, 4)]),
    "money that no transfer moved": ([moved(0, 1, 2)], [read([0, 3], 3, 4)]),
    "less than nothing": ([], [PowerRead(-1, 1, 2)]),
    "a later read sees less": ([moved(0, 0, 9)], [read([0], 1, 2), read([], 3, 4)]),
    "two reads each see what the other does not": (
        [moved(0, 0, 9), moved(1, 0, 9)],
        [read([0], 1, 5), read([1], 2, 6)],
    ),
    "the later of two transfers is seen without the earlier": (
        [moved(0, 0, 1), moved(1, 2, 9)],
        [read([1], 0.5, 8)],
    ),
    "a transfer without an answer is seen, and then not": (
        [moved(0, 1, 2, UNKNOWN)],
        [read([0], 3, 4), read([], 5, 6)],
    ),
    "two answers both claim to be first": (
        [moved(0, 1, 5, after=0b01), moved(1, 1, 5, after=0b10)],
        [],
    ),
    "an answer without its own transfer": ([moved(2, 1, 5, after=0)], []),
    "an answer contradicts a read": (
        [moved(0, 1, 9, after=0b11), moved(1, 1, 9)],
        [read([0], 2, 8)],
    ),
    "two transfers of one amount": ([moved(0, 1, 2), moved(0, 3, 4)], []),
    "only three together contradict each other": (
        # 1 ended before the read of {0} began, so 1 must be in it, or the history is inconsistent.
        [moved(0, 0, 9), moved(1, 0, 3)],
        [read([0], 4, 8)],
    ),
}


@pytest.mark.parametrize(("transfers", "reads"), BAD.values(), ids=BAD)
def test_no_order_explains(transfers, reads):
    assert len(power_faults(transfers, reads)) == 1


def test_the_reason_contains_the_operations():
    (fault,) = power_faults([moved(0, 1, 2)], [read([], 3, 4)])
    assert "transfer of 2^0" in fault
    assert "read acc_1" in fault
    assert "it ended before the other began" in fault


def history(dice, operations=40):
    """A linearizable register: each operation takes effect at one moment."""
    state, transfers, reads, power = 0, [], [], 0
    moments = sorted(dice.random() * 100 for _ in range(operations))
    for moment in moments:
        began, ended = moment - dice.random() * 10, moment + dice.random() * 10
        if dice.random() < 0.5 and power < 40:
            state |= 1 << power
            after = state if dice.random() < 0.5 else None
            transfers.append(moved(power, began, ended, dice.choice([DONE, UNKNOWN]), after))
            power += 1
        else:
            reads.append(PowerRead(state, began, ended))
    return transfers, reads


@pytest.mark.parametrize("seed", range(30))
def test_a_real_sequential_history_is_explained(seed):
    assert power_faults(*history(random.Random(seed))) == []


def test_a_stale_read_is_found_wherever_it_is():
    found = 0
    for seed in range(30):
        dice = random.Random(seed)
        transfers, reads = history(dice)
        done = [each for each in transfers if each.outcome is DONE]
        lost = dice.choice(done)
        reads.append(PowerRead(0, lost.ended + 0.1, lost.ended + 0.2))
        found += bool(power_faults(transfers, reads))
    assert found == 30
