"""The rules that every commit of a simulated platform is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulation.watch.audit import AuditRule
from simulation.watch.commits import CommitWatch, DatabaseLike, Rule, Violation
from simulation.watch.deliveries import DeliveryRule, LineRule
from simulation.watch.edges import StateMachines
from simulation.watch.keys import KeyRule
from simulation.watch.ledger import LedgerRule
from simulation.watch.payments import PaymentRule


@dataclass
class Rules:
    """One of each; what they remember is what checks at rest compare with."""

    keys: KeyRule
    ledger: LedgerRule = field(default_factory=LedgerRule)
    payments: PaymentRule = field(default_factory=PaymentRule)
    audit: AuditRule = field(default_factory=AuditRule)

    @property
    def all(self) -> tuple[Rule, ...]:
        """In the order in which they judge a commit."""
        return (
            self.ledger,
            self.payments,
            self.keys,
            StateMachines(),
            self.audit,
            DeliveryRule(),
            LineRule(),
        )


def watch_commits(
    now: Callable[[], float],
    database: DatabaseLike,
    tables: Mapping[str, str],
    *,
    epoch: float,
    on_violation: Callable[[Violation], None] = lambda _: None,
) -> tuple[CommitWatch, Rules]:
    """Watch all commits from now on; the database must still be empty.

    `now`: virtual seconds. `tables`: physical names by schema name. `epoch`: Unix time of virtual
    time 0, in seconds.
    """
    rules = Rules(KeyRule(epoch))
    return CommitWatch(now, database, tables, rules.all, on_violation), rules
