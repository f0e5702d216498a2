"""The audit log after every commit: each row links to the one before it, and none is rewritten."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from simulation.watch.commits import Commit
from simulation.watch.values import text

GENESIS: Final = "0" * 64
"""`prev_hash` of an entity's first row."""


class Head(NamedTuple):
    """The end of an entity's chain."""

    sequence: str
    hash: str
    length: int


@dataclass(eq=False)
class AuditRule:
    """Chains grow at their end alone."""

    tables: tuple[str, ...] = ("audit_log",)
    heads: dict[str, Head] = field(default_factory=dict)
    """The last row of each entity's chain."""

    def look(self, commit: Commit) -> None:
        """Judge one commit that touches the audit log."""
        if commit.by_hand:
            return
        for (entity, sequence), old, new in sorted(commit.of("audit_log"), key=_by_key):
            if old is not None or new is None:
                commit.report("audit", f"row {sequence} of {entity} was rewritten or deleted")
                continue
            head = self.heads.get(entity, Head("", GENESIS, 0))
            if sequence <= head.sequence:
                commit.report("audit", f"{entity}: {sequence} is put before {head.sequence}")
            if text(new, "prev_hash") != head.hash:
                commit.report("audit", f"{entity}: {sequence} does not link to {head.sequence}")
            self.heads[entity] = Head(sequence, text(new, "hash"), head.length + 1)


def _by_key(change: tuple[tuple[str, ...], object, object]) -> tuple[str, ...]:
    return change[0]
