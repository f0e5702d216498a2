"""Which request or run made each version of a row, and that webhooks name it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulation.watch.commits import Commit
from simulation.watch.news import TEST
from simulation.watch.values import Item, number, text

AUDITED: Final = (
    *("accounts", "customers", "merchants", "payments"),
    *("settlements", "transactions", "transfers"),
)
"""Tables whose versions have audit rows."""
RUN: Final = "run_"
Version = tuple[str, int]
"""The id of a row, and its version."""


@dataclass(eq=False)
class RequestRule:
    """A webhook has the id of the request, or of the run, that made the change it is about."""

    tables: tuple[str, ...] = (*AUDITED, "exports", "webhooks")
    by_version: dict[Version, str] = field(default_factory=dict)
    """`request_id` of each version; `settled/requests.py` compares audit rows with it."""

    def look(self, commit: Commit) -> None:
        """Take down who made the new versions, and judge new webhooks."""
        for table in self.tables:
            for key, old, new in commit.of(table):
                if new is None or key[1:] not in ((), ("00",)):
                    continue
                if table != "webhooks":
                    self.by_version[key[0], number(new, "version")] = text(new, "request_id")
                elif old is None and not (commit.by_hand or key[0].startswith("endpoint#")):
                    fault = self._fault(new)
                    if fault is not None:
                        commit.report("request id", f"{key[0]} {fault}")

    def _fault(self, webhook: Item) -> str | None:
        """Its first `cause` is the id of the event's subject; an alert has no request."""
        named, about = text(webhook, "request_id"), text(webhook, "cause")
        if text(webhook, "event_type") == TEST:
            return None  # it is about an endpoint, and about no change
        made_by = self.by_version.get((about, number(webhook, "sequence")))
        if made_by is None:
            is_of_run = text(webhook, "event_type").startswith("alert.") and named.startswith(RUN)
            return None if is_of_run else f"is about {about}, which was not changed"
        return None if named == made_by else f"names {named}, but {made_by} changed {about}"
