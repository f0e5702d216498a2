"""Limits of merchants after every commit: no window has more payments than its merchant may."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit
from simulation.watch.values import number

_WINDOWS: Final = {"minute": "payments_per_minute", "day": "payments_per_day"}


@dataclass(eq=False)
class LimitRule:
    """Counters of windows stay within the highest limit that their merchant has had.

    A limit that is lowered holds once every environment has heard of it, so the highest one is
    what can be required; a window without any limit is not judged.
    """

    tables: tuple[str, ...] = ("limits", "merchants")
    _limits: dict[tuple[str, str], set[int | None]] = field(
        default_factory=lambda: defaultdict(set)
    )

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches limits; take down the limits of merchants."""
        for key, _, new in commit.of("merchants"):
            if new is None:
                continue
            limits = new.get("rate_limits", {}).get("M", {})
            for window, name in _WINDOWS.items():
                has_one = "N" in limits.get(name, {})
                self._limits[key[0], window].add(number(limits, name) if has_one else None)
        for key, _, new in commit.of("limits"):
            merchant, _, rest = key[0].partition("#")
            limits_had = self._limits.get((merchant, rest.partition("#")[0]), {None})
            if new is None or None in limits_had:
                continue
            most = max(limit for limit in limits_had if limit is not None)
            if number(new, "used") > most:
                commit.report("limit", f"{key[0]} has used {number(new, 'used')} of {most}")
