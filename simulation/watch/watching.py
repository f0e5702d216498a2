"""The watch over all commits: the in-memory engine calls it after each of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Protocol

from simulation.tasks import Violation
from simulation.watch.commits import Commit, RowChange, Rule, RuleBreach
from simulation.watch.rules import Rules
from simulation.watch.values import Item

WORDS: Final = frozenset({"description"})
"""Attributes of payments that no amount depends on."""


class TableLike(Protocol):
    """A table of the engine."""

    @property
    def name(self) -> str:
        """Its physical name."""
        ...


class ChangeLike(Protocol):
    """A change as the engine announces it; `old` and `new` are one object if nothing changed."""

    @property
    def table(self) -> TableLike:
        """Where it happened."""
        ...

    @property
    def key(self) -> Any:
        """The row's key, partition key first."""
        ...

    @property
    def old(self) -> Item | None:
        """The row before."""
        ...

    @property
    def new(self) -> Item | None:
        """The row after."""
        ...


class DatabaseLike(Protocol):
    """An engine that announces its commits."""

    on_commit: list[Callable[[list[Any]], None]]


class Edit(NamedTuple):
    """A row that was changed by hand, past the application, and what it was before."""

    table: str
    key: tuple[str, ...]
    what: str
    old: Item | None
    new: Item | None

    @property
    def is_of_words(self) -> bool:
        """Whether nothing changed that sums, totals and balances are made of."""
        old, new = self.old or {}, self.new or {}
        return {name for name in {*old, *new} if old.get(name) != new.get(name)} <= WORDS


class CommitWatch:
    """Judges and hashes all commits of `database`, which is still empty, from now on.

    `now` is the virtual time in seconds, `epoch` the Unix time of its beginning; `tables` are the
    physical names by schema name. A commit that violates a rule ends the run: Violation is raised
    to the scheduler, unless `stops` is False. Code under test never sees it.
    """

    def __init__(
        self,
        now: Callable[[], float],
        database: DatabaseLike,
        tables: Mapping[str, str],
        *,
        epoch: float,
        stops: bool = True,
    ) -> None:
        self.now, self.stops = now, stops
        self.rules = Rules.at(epoch)
        self.commits = 0
        self.findings: list[RuleBreach] = []
        self.edits: list[Edit] = []
        self._digest = hashlib.sha256()
        self._by_hand: str | None = None
        self._schema_names = {physical: name for name, physical in tables.items()}
        self._rules_of: dict[str, list[Rule]] = {name: [] for name in tables}
        for rule in self.rules.all:
            for table in rule.tables:
                self._rules_of[table].append(rule)
        database.on_commit.append(self._committed)

    @property
    def hash(self) -> str:
        """SHA-256, in hex, over all commits so far: when, which rows, and what they became."""
        return self._digest.hexdigest()

    def report(self, rule: str, detail: str) -> None:
        """Note a violation at the present time."""
        self.findings.append(RuleBreach(rule, detail, self.now(), self.commits))

    @contextmanager
    def by_hand(self, what: str) -> Iterator[None]:
        """Commits inside are an operator's edits past the application, which must be found later.

        Nothing else may happen meanwhile: the caller does not give way inside.
        """
        self._by_hand = what
        try:
            yield
        finally:
            self._by_hand = None

    def _committed(self, announced: list[Any]) -> None:
        before, at = len(self.findings), self.now()
        self.commits += 1
        self._digest.update(b"%d %r\n" % (self.commits, at))
        changes = self._read(announced)
        commit = Commit(self.commits, at, self._by_hand is not None, changes, self.report)
        for rule in self._concerned(changes):
            rule.look(commit)
        if self.stops and len(self.findings) > before:
            raise Violation(str(self.findings[before]))

    def _read(self, announced: Sequence[ChangeLike]) -> dict[str, list[RowChange]]:
        """What changed, by table; hashed on the way."""
        by_table: dict[str, list[RowChange]] = {}
        for change in announced:
            name, old, new = self._schema_names.get(change.table.name), change.old, change.new
            if name is None or old is new:
                continue
            key = tuple(str(part) for part in change.key)
            self._digest.update(_encode((name, key, new)).encode())
            by_table.setdefault(name, []).append(RowChange(key, old, new))
            if self._by_hand is not None:
                self.edits.append(Edit(name, key, self._by_hand, old, new))
        return by_table

    def _concerned(self, tables: Mapping[str, object]) -> Sequence[Rule]:
        """The rules that look at any of the tables, each once."""
        if len(tables) == 1:
            return self._rules_of[next(iter(tables))]
        return list(dict.fromkeys(rule for table in tables for rule in self._rules_of[table]))


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    raise TypeError(f"{value!r} is in no item")


_encode: Final = json.JSONEncoder(separators=(",", ":"), default=_as_text).encode
