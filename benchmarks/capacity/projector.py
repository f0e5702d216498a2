"""What the projector does with batches of change records, and how far it keeps up.

A batch writes one balance shard of each account for up to 99 of its records, and the totals of each
merchant once. How large batches are follows from how fast records come, how often Lambda asks for
them, and how long a batch takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Final

from benchmarks.capacity.footprint import Footprint, Touch
from benchmarks.capacity.keys import Ids
from benchmarks.capacity.limits import (
    CALL_CPU_SECONDS,
    CALL_SECONDS,
    CONFLICTS_TOLERATED,
    FULL_PROCESSOR_MB,
    LEAST_PARTITIONS,
    PARTITION_WRITE_UNITS,
    POLL_SECONDS,
    PROJECT_MEMORY_MB,
    StageSettings,
    conflicts,
)
from benchmarks.capacity.load import Population, Usage
from runtime.audit.projection.projection import PARALLEL_ENTITIES
from runtime.dynamodb.index_shards import all_buckets
from runtime.ledger.accounts.models import FIRST_CREDIT_SHARDS
from runtime.ledger.hot_accounts.projection import PARALLEL_COMMITS
from runtime.ledger.hot_accounts.repository import MAX_SHARD_CREDITS
from runtime.ledger.hot_accounts.rules import MAX_CREDIT_SHARDS, credit_shards
from simulation.platform.sources import BATCH_RECORDS

CALLS_PER_SHARD: Final = 2
"""Reading a balance shard, and the commit of its credits."""
LOCKS_PER_SHARD: Final = 2
"""The shard must not change from the read to the commit: as if it were locked for twice as long."""
CALLS_PER_SHARD_UPDATE: Final = 1 / BATCH_RECORDS
"""Of a balance shard's own change record: its part of the read of a batch's entries."""
PROCESSOR_SHARE: Final = PROJECT_MEMORY_MB / FULL_PROCESSOR_MB
_ROUNDS: Final = 50
_PARTS: Final = tuple(1.02**-step for step in range(-100, 400))
"""Parts of a load that are tried, from 7 times of it down to a 2,700th."""


@dataclass(frozen=True)
class Stream:
    """A table's change stream. `records` per second; `shards` as few as its writes allow.

    `parallel`: batches of a shard at once. `batch`: records of a batch; `seconds`: what one takes;
    `fastest`: records per second of one batch after the other, all full. `lag`: how old a record of
    a shard at its write limit becomes until it is projected, in seconds. `keeps_up`: the part of
    its records up to which it does not lag behind more and more.
    """

    table: str
    records: float
    shards: int
    parallel: int
    batch: float
    seconds: float
    fastest: float
    lag: float
    keeps_up: float = 0.0

    @property
    def lanes(self) -> int:
        """Batches at once."""
        return self.shards * self.parallel

    @property
    def capacity(self) -> float:
        """Records per second that all lanes project in full batches."""
        return self.lanes * self.fastest

    @property
    def concurrency(self) -> float:
        """Invocations at once, as far as it keeps up."""
        return min(self.lanes, self.records / self.batch * self.seconds)

    @property
    def shards_needed(self) -> int:
        """Shards with which it keeps up."""
        return ceil(self.records / (self.parallel * self.fastest))


@dataclass(frozen=True)
class Credits:
    """Credits per second of each account with balance shards, among all transfers' records."""

    by_account: Mapping[str, float]
    transfers: float

    def groups(self, batch: float) -> float:
        """Commits in which a batch of transfers is added to balance shards."""
        return sum(self.commits(name, batch) for name in self.by_account)

    def commits(self, account: str, batch: float) -> float:
        """Commits in which a batch is added to the account: at least one if it has a credit."""
        if not self.transfers:
            return 0.0
        share = self.by_account[account] / self.transfers
        any_credit = float(1 - (1 - min(share, 1.0)) ** batch)
        return any_credit * max(1, ceil(share * batch / MAX_SHARD_CREDITS))


def credits_of(
    footprints: Mapping[str, Footprint], rates: Mapping[str, float], population: Population
) -> Credits:
    """How many credits the load brings, by account."""
    by_account: Counter[str] = Counter()
    transfers = 0.0
    for name, rate in rates.items():
        footprint = footprints[name]
        transfers += footprint.records["transfers"] * rate
        for template in footprint.credited:
            for merchant in _owners(template, population):
                share = rate / len(_owners(template, population))
                by_account[Ids((), merchant).fill(template)] += share  # type: ignore[assignment]
    return Credits(by_account, transfers)


def stream_of(
    table: str,
    records: float,
    calls: float,
    units: float,
    groups: Callable[[float], float],
    stage: StageSettings,
) -> Stream:
    """A stream at rest, and up to which part of the load it keeps up.

    Per second: change records, calls of the projector for them, and write units of the table.
    `groups` gives the balance shards of a batch.
    """

    def at(part: float) -> Stream:
        return _at_rest(table, records * part, calls * part, units * part, groups, stage)

    made = at(1.0)
    if not records:
        return replace(made, keeps_up=inf)
    part = next((part for part in _PARTS if at(part).capacity >= records * part), 0.0)
    return replace(made, keeps_up=part)


def _at_rest(
    table: str,
    records: float,
    calls: float,
    units: float,
    groups: Callable[[float], float],
    stage: StageSettings,
) -> Stream:
    """Batches have what arrives while Lambda waits: for the window, a poll, or the last batch."""
    calls_per_record = calls / records if records else 0.0
    warm = stage.warm_write_units.get(table, 0.0)
    shards = max(LEAST_PARTITIONS, ceil(max(units, warm) / PARTITION_WRITE_UNITS))
    parallel, window = stage.parallel(table), stage.window_seconds.get(table, 0)

    def seconds(batch: float) -> float:
        own, shared = calls_per_record * batch, CALLS_PER_SHARD * groups(batch)
        work = (own + shared) * CALL_CPU_SECONDS / PROCESSOR_SHARE
        waits = own / min(PARALLEL_ENTITIES, max(batch, 1.0))
        waits += CALLS_PER_SHARD * ceil(groups(batch) / PARALLEL_COMMITS)
        return work + CALL_SECONDS * waits

    def gathered(lane: float) -> float:
        batch = 1.0
        for _ in range(_ROUNDS):
            waited = max(seconds(batch), window, POLL_SECONDS)
            batch = min(float(BATCH_RECORDS), max(1.0, lane * waited))
        return batch

    batch = gathered(records / (shards * parallel))
    fastest = BATCH_RECORDS / seconds(BATCH_RECORDS) if records else inf
    full = records / units * PARTITION_WRITE_UNITS / parallel if units else 0.0
    taken = seconds(gathered(full))
    lag = max(taken, window, POLL_SECONDS) + taken if full <= fastest else inf
    return Stream(table, records, shards, parallel, batch, seconds(batch), fastest, lag)


def calls_per_second(
    footprints: Mapping[str, Footprint], rates: Mapping[str, float]
) -> Counter[str]:
    """The projector's calls of DynamoDB by stream, without those for balance shards and totals."""
    calls: Counter[str] = Counter()
    for name, rate in rates.items():
        for (function, table), count in footprints[name].calls.items():
            if function == "project":
                calls[table] += count * rate  # type: ignore[assignment]
    return calls


def add_shards(
    usage: Usage,
    footprints: Mapping[str, Footprint],
    credits_: Credits,
    population: Population,
    batch: float,
) -> float:
    """Count the balance shards' rows and their audit rows. Returns their updates per second."""
    touches = _touches_by_account(footprints)
    batches = credits_.transfers / batch
    updates = 0.0
    for template, of_account in touches.items():
        for merchant in _owners(template, population):
            account = Ids((), merchant).fill(template)
            if account not in credits_.by_account:
                continue
            commits = batches * credits_.commits(account, batch)
            shards = credit_shards(grown_shards(commits))
            rate = commits / len(shards)
            for shard in shards:
                ids = Ids((), merchant, credit=shard)
                updates += rate
                for touch in of_account:
                    locking = replace(touch, locks=touch.locks * LOCKS_PER_SHARD)
                    item = None if touch.item is None else ids.fill(touch.item)
                    usage.add(locking, touch.key.of(ids), item, rate)
    return updates


def grown_shards(commits: float) -> int:
    """Credit shards of an account with so many commits a second: it doubles them while they meet.

    The model stops at half of the conflicts that are tolerated.
    """
    number = FIRST_CREDIT_SHARDS
    while (
        number < MAX_CREDIT_SHARDS
        and conflicts(LOCKS_PER_SHARD * commits / number) > CONFLICTS_TOLERATED / 2
    ):
        number *= 2
    return number


def add_totals(
    usage: Usage,
    footprints: Mapping[str, Footprint],
    rates: Mapping[str, float],
    population: Population,
    batch: float,
) -> None:
    """Count the rows of totals: one per batch and merchant, in any of its buckets."""
    counting = {name: rate for name, rate in rates.items() if footprints[name].shared_totals}
    records = usage.records["payments"]
    if not counting or not records:
        return
    (touch,) = footprints[next(iter(counting))].shared_totals
    share = sum(counting.values()) / records / len(population.merchants)
    rate = records / batch * (1 - (1 - share) ** batch)
    for merchant in population.merchants:
        keys = all_buckets(merchant, touch.key.buckets)
        for key in keys:
            usage.add(touch, key, None, rate / len(keys))


def _touches_by_account(footprints: Mapping[str, Footprint]) -> dict[str, list[Touch]]:
    """The touches of one write of a balance shard, by the account's template."""
    found: dict[str, list[Touch]] = {}
    for footprint in footprints.values():
        for account in footprint.credited:
            if account not in found:
                found[account] = [
                    touch
                    for touch in footprint.shared_shard
                    if account in (touch.key.template, touch.key.template.partition("#")[0])
                    or touch.key.identifier.startswith(f"{account}#")
                ]
    return found


def _owners(template: str, population: Population) -> tuple[str, ...]:
    """The merchants that have such an account; the first one stands for the platform's own."""
    return population.merchants if "{merchant}" in template else population.merchants[:1]
