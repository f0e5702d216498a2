"""The writes of settling lines in one commit, one expression per rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.dynamodb.expressions import Write, absent, change, equals, put
from runtime.ledger.booking import booked
from runtime.ledger.transfers.models import Transfer
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import (
    SettlementDelta,
    SettlementIdentity,
    SettlementLine,
)


@dataclass(frozen=True, slots=True)
class SettlementWrites:
    """Rows before and after (before: None for new ones), and the postings.

    `deltas`: the changes of the lines in the sums of each settlement, which are not written here.
    """

    lines: tuple[tuple[SettlementLine | None, SettlementLine], ...] = ()
    identities: tuple[tuple[SettlementIdentity | None, SettlementIdentity], ...] = ()
    transactions: tuple[tuple[Transaction, Transaction], ...] = ()
    payments: tuple[tuple[Payment, Payment], ...] = ()
    transfers: tuple[Transfer, ...] = ()
    deltas: Mapping[str, SettlementDelta] = field(default_factory=dict)

    def rendered(self) -> list[Write]:
        """Each row once, and only if it is unchanged since it was read.

        This prevents a line from being posted twice (docs/decisions/0038).
        """
        writes: list[Write] = []
        for line_before, line in self.lines:
            writes.append(
                put(line).when(absent("line"))
                if line_before is None
                else change(line_before, line).when(equals("version", line_before.version))
            )
        for known, identity in self.identities:
            writes.append(_identity(known, identity))
        for before, after in self.transactions:
            writes.append(change(before, after).when(equals("version", before.version)))
        for payment, settled in self.payments:
            writes.append(change(payment, settled).when(equals("version", payment.version)))
        for transfer in self.transfers:
            writes += booked(transfer)
        return writes


def _identity(before: SettlementIdentity | None, after: SettlementIdentity) -> Write:
    if before is None:
        return put(after).when(absent("id"))
    return change(before, after).when(
        equals("settlement_id", before.settlement_id),
        equals("line", before.line),
        equals("file_id", before.file_id),
    )
