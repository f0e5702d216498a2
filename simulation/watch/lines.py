"""Settlement lines after every commit: what is tolerated, and what a line leaves on clearing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit
from simulation.watch.values import Item, maps, number, text

_TO_CLEARING: Final = {"net": 1, "fee": 1, "adjusted": -1, "written_off": -1}
"""By how much each flow of a line raises the clearing account."""


@dataclass(eq=False)
class LineAmountRule:
    """A line takes what our books have of it off the clearing account, or nothing at all.

    It matches where the difference is within the highest tolerance that its merchant has had.
    """

    tables: tuple[str, ...] = ("settlement_lines", "merchants")
    _tolerances: Counter[str] = field(default_factory=Counter)

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches lines; take down the tolerances of merchants."""
        for key, _, new in commit.of("merchants"):
            if new is not None:
                terms = new.get("reconciliation", {}).get("M", {})
                most = max(self._tolerances[key[0]], number(terms, "tolerance_minor"))
                self._tolerances[key[0]] = most
        for key, _, new in commit.of("settlement_lines"):
            if new is None or commit.by_hand:
                continue
            for fault in self._faults(new):
                commit.report("settlement amount", f"{key} {fault}")

    def _faults(self, line: Item) -> Iterator[str]:
        expected = line.get("expected", {}).get("M")
        if not expected:
            return
        ours, theirs = number(expected, "amount"), number(line, "amount")
        tolerance = self._tolerances[text(line, "merchant_id")]
        if text(line, "status") == "matched" and abs(theirs - ours) > tolerance:
            yield f"says {theirs} of {ours}, and matches; at most {tolerance} is tolerated"
        taken: Counter[str] = Counter()
        for booking in maps(line, "bookings"):
            for flow, sign in _TO_CLEARING.items():
                taken[text(booking, "currency")] += sign * number(booking["flows"]["M"], flow)
        for currency, amount in taken.items():
            if amount not in (0, ours):
                yield f"takes {amount} {currency} off the clearing account, which has {ours}"
