"""The exports' stream → the queue: every committed job is queued, whatever its request's fate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runtime.core.errors import Unavailable
from runtime.core.observability import logger
from runtime.reporting.exports.models import Export
from runtime.reporting.exports.queue import ExportOrder, ExportQueue
from runtime.streams.records import Change, Failed, Kind


@dataclass(frozen=True)
class ExportOrders:
    """Queues each new export. A repeated record queues it again: a worker finds it done."""

    queue: ExportQueue

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """As Projection."""
        new = [change for change in changes if change.kind is Kind.INSERT]
        return frozenset(each.sequence_number for each in new if not self._sent(each.new))

    def _sent(self, export: Export) -> bool:
        try:
            self.queue.send(ExportOrder(id=export.id, merchant_id=export.merchant_id))
        except Unavailable:
            logger.exception(
                "an export could not be queued", export=export.id, request_id=export.request_id
            )
            return False
        return True
