"""Many requests, in rounds that begin with empty tables, so that the tables stay small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.differential.comparison import Comparison
from tests.support.differential.requests import Requests

ROUND = 5_000
"""Requests between two comparisons of the tables and streams."""
SHOWN = 10
"""Differences that are shown; all are counted."""


@dataclass
class Report:
    """The requests and the differences."""

    seed: str
    requests: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Add one round."""
        self.requests += comparison.requests
        for name in ("operations", "forms", "outcomes", "known"):
            getattr(self, name).update(getattr(comparison, name))
        self.differences += map(str, comparison.differences)
        self.differences += comparison.compare_tables()

    def reported(self) -> str:
        """The whole report, figures last."""
        lines = self.differences[:SHOWN]
        for title, counts in (
            ("operations", self.operations),
            ("forms", self.forms),
            ("outcomes by AWS's engine", self.outcomes),
            ("known differences of AWS's local engine", self.known),
        ):
            listed = (f"{name} {count:,}" for name, count in sorted(counts.items()))
            lines.append(f"{title} ({len(counts)}): {' · '.join(listed)}")
        lines.append(
            f"differential seed {self.seed} requests {self.requests:,} forms {len(self.forms)} "
            f"known differences {self.known.total():,} differences {len(self.differences):,}"
        )
        return "\n".join(lines)


def compared(
    endpoint_url: str, seed: str, requests: int, tell: Callable[[str], None] = lambda _: None
) -> Report:
    """The report of this many requests; it ends with the round of the first difference."""
    report = Report(seed)
    while report.requests < requests and not report.differences:
        number = report.requests // ROUND
        drawn, comparison = Requests(f"{seed}-{number}"), Comparison(endpoint_url)
        try:
            for _ in range(min(ROUND, requests - report.requests)):
                comparison.compare(drawn.draw())
            report.add(comparison)
        finally:
            comparison.close()
        tell(f"{report.requests:,} requests, {len(report.differences):,} differences")
    return report
