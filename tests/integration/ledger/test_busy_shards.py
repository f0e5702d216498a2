"""Balance shards that other writers change before every commit: nothing is lost or added twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from runtime.core.errors import Unavailable
from runtime.core.timestamps import to_timestamp
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.entries.models import Entry
from runtime.ledger.hot_accounts.repository import (
    MAX_ATTEMPTS,
    HotAccount,
    ShardCredit,
    ShardRepository,
)
from tests.support.engines.engine import Engine
from tests.support.engines.faults import COMMIT, Fault, Faults
from tests.support.platform import SETUP
from tests.support.simulation.ledger import LedgerPlatform

SHARD = "01"
"""The only shard, so that writers meet."""


@dataclass
class BusyAccount:
    """A hot account, and a second writer that acts before each commit of the first."""

    ledger: LedgerPlatform
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.id = self.ledger.open(folded=True)
        (row,) = (row for row in self.ledger.platform.rows(Account) if row.account_id == self.id)
        self.target = replace(HotAccount.of(row), credit_shards=1)
        self.calm = ShardRepository(self.ledger.platform.store)

    def credit(self, shards: ShardRepository, amount: int, operation: str | None = None) -> int:
        now = self.ledger.platform.clock()
        operation = operation or f"trf_{next(self.numbers)}"
        item = ShardCredit(operation, operation, amount, to_timestamp(now))
        return shards.credit(self.target, [item], SETUP, now)

    def consolidate(self, shards: ShardRepository) -> int:
        return shards.consolidate(self.id, lambda _: SETUP, self.ledger.platform.clock())

    def interrupted(self, happens: Callable[[], object], times: int | None = None) -> Interrupted:
        """Calls `happens` before each of the first `times` commits, or before every one."""
        left = iter(range(times)) if times is not None else itertools.count()

        def plan(operation: str, _call: int) -> Fault | None:
            if operation == COMMIT and next(left, None) is not None:
                happens()
            return None

        faults = Faults(plan)
        platform = self.ledger.platform
        return Interrupted(
            ShardRepository(platform.store_on(faults.attach(platform.engine.dynamodb()))), faults
        )

    def balances(self) -> dict[str, int]:
        rows = self.ledger.platform.rows(Account)
        return {row.shard: row.balance for row in rows if row.account_id == self.id}

    def entries(self) -> list[int]:
        rows = self.ledger.platform.rows(Entry)
        return sorted(row.amount for row in rows if row.balance_shard == SHARD)


@dataclass(frozen=True)
class Interrupted:
    shards: ShardRepository
    faults: Faults


@pytest.fixture
def hot(engine: Engine) -> Iterator[BusyAccount]:
    ledger = LedgerPlatform(engine, seed="busy")
    yield BusyAccount(ledger)
    ledger.platform.drop()


def test_a_credit_of_a_shard_that_stays_busy_is_given_up_and_added_once_later(
    hot: BusyAccount,
) -> None:
    writer = hot.interrupted(lambda: hot.credit(hot.calm, 1))
    with pytest.raises(Unavailable, match="are busy"):
        hot.credit(writer.shards, 1_000, "trf_late")
    assert writer.faults.calls[COMMIT] == MAX_ATTEMPTS
    assert hot.balances()[SHARD] == MAX_ATTEMPTS

    for _ in range(2):
        hot.credit(hot.calm, 1_000, "trf_late")
    assert hot.balances()[SHARD] == MAX_ATTEMPTS + 1_000
    assert hot.entries() == [1] * MAX_ATTEMPTS + [1_000]


def test_a_credit_counts_the_shards_that_other_writers_changed(hot: BusyAccount) -> None:
    writer = hot.interrupted(lambda: hot.credit(hot.calm, 1), times=3)
    assert hot.credit(writer.shards, 5) == 3
    again = hot.interrupted(lambda: hot.credit(hot.calm, 7, "trf_same"), times=1)
    assert hot.credit(again.shards, 7, "trf_same") == 1
    assert hot.credit(hot.calm, 7, "trf_same") == 0
    assert hot.balances()[SHARD] == 3 + 5 + 7


def test_a_credit_that_another_writer_has_added_meanwhile_is_not_added_again(
    hot: BusyAccount,
) -> None:
    writer = hot.interrupted(lambda: hot.credit(hot.calm, 5, "trf_same"), times=1)
    hot.credit(writer.shards, 5, "trf_same")
    assert hot.balances()[SHARD] == 5
    assert hot.entries() == [5]


def test_a_consolidation_of_a_shard_that_stays_busy_is_given_up_and_moves_nothing(
    hot: BusyAccount,
) -> None:
    hot.credit(hot.calm, 100)
    writer = hot.interrupted(lambda: hot.credit(hot.calm, 1))
    with pytest.raises(Unavailable, match="are busy"):
        hot.consolidate(writer.shards)
    busy = writer.faults.calls[COMMIT]
    assert hot.balances() == {PROFILE_SHARD: 0, SHARD: 100 + busy}

    assert hot.consolidate(hot.calm) == 100 + busy
    assert hot.balances() == {PROFILE_SHARD: 100 + busy, SHARD: 0}
