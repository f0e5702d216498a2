"""A commit as rules see it, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simulation.watch.values import Item


class RuleBreach(NamedTuple):
    """Something happened that must never happen.

    `rule` is the short name by which shrinking recognizes the same violation in a smaller run.
    """

    rule: str
    detail: str
    at: float
    commit: int

    def __str__(self) -> str:
        return f"t={self.at:.3f} commit {self.commit}: {self.rule}: {self.detail}"


class RowChange(NamedTuple):
    """One row before and after a commit; `old` is absent for a new row, `new` for a deleted one."""

    key: tuple[str, ...]
    old: Item | None
    new: Item | None


@dataclass(frozen=True)
class Commit:
    """One commit as rules see it. `by_hand`: an operator wrote past the application."""

    number: int
    at: float
    by_hand: bool
    changes: Mapping[str, Sequence[RowChange]]
    report: Callable[[str, str], None]

    def of(self, table: str) -> Sequence[RowChange]:
        """The changes of one table, by the name in its schema."""
        return self.changes.get(table, ())


class Rule(Protocol):
    """A judge of commits. It is shown those that touch one of its `tables`.

    It keeps what it needs to judge a commit in time proportional to that commit's changes.
    """

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of tables, as in their schema."""

    def look(self, commit: Commit) -> None:
        """Report what the commit violates, and remember what later ones are judged by."""
