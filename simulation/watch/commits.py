"""Every commit of the simulated tables, judged in the moment in which it happens.

`CommitWatch` is called by the in-memory engine after each commit, hashes it into the history, and
shows it to the rules. A rule keeps what it needs to judge the next commit in time proportional to
that commit's changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from simulation.watch.values import Item

MOST_VIOLATIONS: Final = 100
"""After so many violations a run proves nothing more; later ones are only counted."""


class Violation(NamedTuple):
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
    """A judge of commits. It is shown those that touch one of its `tables`."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of tables, as in their schema."""

    def look(self, commit: Commit) -> None:
        """Report what the commit violates, and remember what later ones are judged by."""


class TableLike(Protocol):
    """A table of the engine."""

    name: str


class ChangeLike(Protocol):
    """A change as the engine announces it."""

    @property
    def table(self) -> TableLike:
        """Where it happened."""

    @property
    def key(self) -> tuple[Any, ...]:
        """The row's key, partition key first."""

    @property
    def old(self) -> Item | None:
        """The row before."""

    @property
    def new(self) -> Item | None:
        """The row after."""


class DatabaseLike(Protocol):
    """An engine that announces its commits."""

    on_commit: list[Callable[[list[Any]], None]]


@dataclass
class CommitWatch:
    """Judges and hashes all commits of `database` from now on.

    `now` is the virtual time in seconds. `tables` are the physical names by schema name.
    `on_violation` hears of each violation; none is raised inside the commit, because the code under
    test would handle it as an error of its own.
    """

    now: Callable[[], float]
    database: DatabaseLike
    tables: Mapping[str, str]
    rules: Sequence[Rule]
    on_violation: Callable[[Violation], None] = lambda _: None
    commits: int = 0
    violations: list[Violation] = field(default_factory=list)
    edits: list[tuple[str, tuple[str, ...], str]] = field(default_factory=list)
    """(table, key, what) of each row that was changed by hand, in order."""

    def __post_init__(self) -> None:
        self._digest = hashlib.sha256()
        self._by_hand: str | None = None
        self._schema_names = {physical: name for name, physical in self.tables.items()}
        self._rules_of: dict[str, list[Rule]] = {name: [] for name in self.tables}
        for rule in self.rules:
            for table in rule.tables:
                self._rules_of[table].append(rule)
        self.database.on_commit.append(self._committed)

    @property
    def hash(self) -> str:
        """SHA-256, in hex, over all commits so far: when, which rows, and what they became."""
        return self._digest.hexdigest()

    def report(self, rule: str, detail: str) -> None:
        """Note a violation at the present time, of a rule that is not about one commit."""
        violation = Violation(rule, detail, self.now(), self.commits)
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(violation)
        self.on_violation(violation)

    @contextmanager
    def by_hand(self, what: str) -> Iterator[None]:
        """Commits inside are an operator's edits past the application, which must be found later.

        Nothing else may happen meanwhile: the caller does not yield to the scheduler inside.
        """
        self._by_hand = what
        try:
            yield
        finally:
            self._by_hand = None

    def _committed(self, announced: list[Any]) -> None:
        self.commits += 1
        at = self.now()
        by_table: dict[str, list[RowChange]] = {}
        self._digest.update(b"%d %r\n" % (self.commits, at))
        for change in announced:
            name = self._schema_names.get(change.table.name)
            if name is None:
                continue
            self._digest.update(_as_bytes(name, change.key, change.new))
            row = RowChange(tuple(change.key), change.old, change.new)
            by_table.setdefault(name, []).append(row)
            if self._by_hand is not None:
                self.edits.append((name, row.key, self._by_hand))
        commit = Commit(self.commits, at, self._by_hand is not None, by_table, self.report)
        for rule in self._concerned(by_table):
            rule.look(commit)

    def _concerned(self, tables: Mapping[str, object]) -> list[Rule]:
        """The rules that look at any of the tables, each once, in their order."""
        if len(tables) == 1:
            return self._rules_of[next(iter(tables))]
        wanted = [rule for table in tables for rule in self._rules_of[table]]
        return list(dict.fromkeys(wanted)) if len(wanted) > 1 else wanted


def _as_bytes(table: str, key: Sequence[Any], item: Item | None) -> bytes:
    return json.dumps((table, key, item), separators=(",", ":"), default=_bytes_as_text).encode()


def _bytes_as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    raise TypeError(f"{value!r} is in no item")
