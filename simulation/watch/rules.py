"""The rules that every commit of a simulated platform is judged by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from simulation.watch.audit import AuditRule
from simulation.watch.commits import Rule
from simulation.watch.customers import CustomerRule
from simulation.watch.deliveries import DeliveryRule, LineRule
from simulation.watch.edges import StateMachines
from simulation.watch.erasure import ErasureRule
from simulation.watch.events import FailedRefundRule
from simulation.watch.keys import KeyRule
from simulation.watch.leases import LeaseRule
from simulation.watch.ledger import LedgerRule
from simulation.watch.limits import LimitRule
from simulation.watch.lines import LineAmountRule
from simulation.watch.made import MadeRule
from simulation.watch.news import NewsRule
from simulation.watch.payments import PaymentRule
from simulation.watch.requests import RequestRule


@dataclass
class Rules:
    """One of each; what they remember is what checks at rest compare with."""

    keys: KeyRule
    leases: LeaseRule
    ledger: LedgerRule = field(default_factory=LedgerRule)
    payments: PaymentRule = field(default_factory=PaymentRule)
    audit: AuditRule = field(default_factory=AuditRule)
    news: NewsRule = field(default_factory=NewsRule)
    made: MadeRule = field(default_factory=MadeRule)
    failed_refunds: FailedRefundRule = field(default_factory=FailedRefundRule)
    requests: RequestRule = field(default_factory=RequestRule)

    @classmethod
    def at(cls, epoch: float) -> Self:
        """Rules of a world whose virtual time begins at this Unix time, in seconds."""
        return cls(KeyRule(epoch), LeaseRule(epoch))

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
            self.news,
            self.made,
            self.failed_refunds,
            self.requests,
            CustomerRule(),
            LimitRule(),
            self.leases,
            LineAmountRule(),
            ErasureRule(),
        )
