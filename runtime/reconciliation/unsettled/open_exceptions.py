"""How many exceptions wait for a decision, and since when: counted while merchants are swept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from runtime.reconciliation.settlements.line_keys import read_exception_key


@dataclass(frozen=True, slots=True)
class OpenExceptions:
    """Open exceptions, and the date of the oldest one's settlement (YYYY-MM-DD), if there is one.

    Merchants' tallies add up.
    """

    count: int = 0
    oldest_day: str | None = None

    @classmethod
    def of(cls, keys: Iterable[str]) -> OpenExceptions:
        """The tally of these sort keys of `gsi-exception`."""
        count, oldest = 0, None
        for key in keys:
            day = read_exception_key(key).day
            count, oldest = count + 1, day if oldest is None else min(oldest, day)
        return cls(count, oldest)

    def __add__(self, other: OpenExceptions) -> OpenExceptions:
        days = [day for day in (self.oldest_day, other.oldest_day) if day is not None]
        return OpenExceptions(self.count + other.count, min(days, default=None))

    def age_days(self, today: date) -> int:
        """Days since the oldest one's settlement; 0 if there is none."""
        if self.oldest_day is None:
            return 0
        return max((today - date.fromisoformat(self.oldest_day)).days, 0)
