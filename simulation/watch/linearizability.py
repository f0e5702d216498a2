"""Is there one order of all operations that explains every answer? Judged from outside alone.

The idea is Jepsen's: record when each operation began and ended and what it was answered, and look
for an order in which each takes effect at one moment between its beginning and its end. For
registers that search is exponential. Here it is not, because amounts are chosen well: each transfer
between two accounts moves another power of two, so a balance names the set of transfers that it
contains. A read is then either before or after each transfer, and an order exists exactly if
these relations, with those of time, have no cycle.

(Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations", VLDB
2020, section 3: sets whose reads name their elements make version orders recoverable.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

NEVER: Final = float("inf")
"""The end of an operation whose client never learned what became of it."""


class Outcome(Enum):
    """What the client knows of a transfer."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class PowerTransfer:
    """A transfer of 2**`power` minor units, from its first attempt to its first answer.

    `after`: the sum of all transfers right after this one, where the answer says so.
    """

    power: int
    began: float
    ended: float
    outcome: Outcome
    after: int | None = None

    def __str__(self) -> str:
        return (
            f"transfer of 2^{self.power} [{self.began:.3f}, {self.ended:.3f}] {self.outcome.name}"
        )


@dataclass(frozen=True)
class PowerRead:
    """An answer that says that transfers of `total` minor units have happened."""

    total: int
    began: float
    ended: float
    of: str = ""

    def __str__(self) -> str:
        return f"read {self.of} {self.total:#x} [{self.began:.3f}, {self.ended:.3f}]"


@dataclass
class _Order:
    """Which operation must come before which others, and why."""

    names: list[str]
    after: list[dict[int, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.after = [{} for _ in self.names]

    def add(self, first: int, then: int, why: str) -> None:
        self.after[first].setdefault(then, why)

    def cycle(self) -> list[int]:
        """The operations of a shortest cycle through the first that is in one; empty: none."""
        left = self._in_cycles()
        best: list[int] = []
        for start in sorted(left):
            path = self._shortest_way_back(start, left)
            if path and (not best or len(path) < len(best)):
                best = path
        return best

    def _in_cycles(self) -> set[int]:
        """What remains when operations that nothing must precede are taken away, in turn."""
        waiting = [0] * len(self.names)
        for successors in self.after:
            for each in successors:
                waiting[each] += 1
        free = [each for each, count in enumerate(waiting) if not count]
        left = set(range(len(self.names)))
        while free:
            each = free.pop()
            left.discard(each)
            for successor in self.after[each]:
                waiting[successor] -= 1
                if not waiting[successor]:
                    free.append(successor)
        return left

    def _shortest_way_back(self, start: int, within: set[int]) -> list[int]:
        before: dict[int, int] = {}
        seen, queue = {start}, [start]
        for each in queue:
            for successor in self.after[each]:
                if successor == start:
                    path = [each]
                    while path[-1] != start:
                        path.append(before[path[-1]])
                    return path[::-1]
                if successor in within and successor not in seen:
                    seen.add(successor)
                    before[successor] = each
                    queue.append(successor)
        return []

    def reported(self, cycle: Sequence[int]) -> str:
        """The cycle as text, each step with its reason."""
        steps = zip(cycle, (*cycle[1:], cycle[0]), strict=True)
        return "; ".join(
            f"{self.names[first]} comes before {self.names[then]} ({self.after[first][then]})"
            for first, then in steps
        )


def power_faults(transfers: Sequence[PowerTransfer], reads: Sequence[PowerRead]) -> list[str]:
    """What no order of these operations on two accounts can explain; empty if one can.

    Every transfer has another power; all move money the same way.
    """
    known = {each.power: each for each in transfers}
    if len(known) != len(transfers):
        return ["two transfers move the same amount: the history cannot be judged"]
    faults = list(_impossible(known, reads))
    if faults:
        return faults
    order = _order_of(transfers, reads)
    cycle = order.cycle()
    return [f"no order explains: {order.reported(cycle)}"] if cycle else []


def _impossible(known: Mapping[int, PowerTransfer], reads: Sequence[PowerRead]) -> Iterator[str]:
    """Answers that are wrong whatever the order."""
    seen = [(read.total, str(read)) for read in reads]
    seen += [(each.after, f"answer of {each}") for each in known.values() if each.after is not None]
    for total, name in seen:
        if total < 0:
            yield f"{name}: less than nothing"
            continue
        for power in powers_in(total):
            if power not in known:
                yield f"{name}: has 2^{power}, which no transfer has moved"
            elif known[power].outcome is Outcome.REFUSED:
                yield f"{name}: has {known[power]}, which was refused"
    for each in known.values():
        if each.after is not None and each.power not in powers_in(each.after):
            yield f"answer of {each}: {each.after:#x} does not have it"


def _order_of(transfers: Sequence[PowerTransfer], reads: Sequence[PowerRead]) -> _Order:
    in_any = 0
    for total in (*(r.total for r in reads), *(t.after or 0 for t in transfers)):
        in_any |= total
    happened = [
        each for each in transfers if each.outcome is Outcome.DONE or in_any >> each.power & 1
    ]
    operations: list[PowerTransfer | PowerRead] = [*happened, *reads]
    order = _Order([str(each) for each in operations])
    for first, earlier in enumerate(operations):
        for then, later in enumerate(operations):
            if earlier.ended < later.began:
                order.add(first, then, "it ended before the other began")
    for place, each in enumerate(operations):
        said = each.total if isinstance(each, PowerRead) else each.after
        if said is None:
            continue
        for other, transfer in enumerate(happened):
            if other == place:
                continue
            if said >> transfer.power & 1:
                order.add(other, place, "it is in what the other says")
            else:
                order.add(place, other, "it does not have the other")
    return order


def powers_in(total: int) -> tuple[int, ...]:
    """The powers of two whose sum is `total`."""
    return tuple(power for power in range(total.bit_length()) if total >> power & 1)
