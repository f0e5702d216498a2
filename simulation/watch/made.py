"""Which rows each request has made, by the gateway's id of the request."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from simulation.watch.commits import Commit
from simulation.watch.edges import is_number_guard
from simulation.watch.values import text


class Made(NamedTuple):
    """A new row: its table, its id, its status when it was made."""

    table: str
    id: str
    status: str


@dataclass(eq=False)
class MadeRule:
    """Takes down new rows; `settled/effects.py` compares them with what clients were answered."""

    tables: tuple[str, ...] = ("payments", "transfers", "accounts", "customers", "exports")
    by_request: dict[str, list[Made]] = field(default_factory=lambda: defaultdict(list))

    def look(self, commit: Commit) -> None:
        """Take down the commit's new rows, but shards of accounts and postings of payments."""
        if commit.by_hand:
            return
        for table in self.tables:
            for key, old, new in commit.of(table):
                if old is not None or new is None or is_number_guard(key):
                    continue
                derived = key[1:] not in ((), ("00",)) or text(new, "payment_id")
                if not derived and not text(new, "settlement_id"):
                    made = Made(table, key[0], text(new, "status"))
                    self.by_request[text(new, "request_id")].append(made)
