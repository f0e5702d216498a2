"""What is derived from the tables' change streams: a table of streams and their projections.

A projection gets the changes of one table in the order of the stream and says which ones it could
not do. Each change may come twice, late, or after a newer one, so whatever a projection does must
be the same when it is done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic import ValidationError

from runtime.alerts.models import Alert
from runtime.core.observability import logger
from runtime.customers.models import CustomerState
from runtime.dynamodb.codec import Codec, Item
from runtime.dynamodb.errors import InvalidRequest
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import MerchantProfile
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import Settlement
from runtime.reporting.exports.models import Export
from runtime.streams.records import INVALID, Change, Failed, Parking, StreamRecord, park_record
from runtime.tables import ALL_TABLES


class Projection(Protocol):
    """Derives something from the changes of one table, read as rows of its model."""

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Do all that can be done, and name the rest.

        Raises InvalidRequest when DynamoDB refuses as invalid what follows from one of the changes.
        """
        ...


class ImageProjection(Protocol):
    """Derives something from the records of any table as they came, readable or not."""

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Do all that can be done, and name the rest."""
        ...


STREAMED: Final[Mapping[str, type[Row]]] = {
    "accounts": Account,
    "alerts": Alert,
    "customers": CustomerState,
    "exports": Export,
    "merchants": MerchantProfile,
    "payments": Payment,
    "settlements": Settlement,
    "transactions": Transaction,
    "transfers": Transfer,
}
"""How the rows of each stream are read, by the name of their table. No view here has an enciphered
field: the projector opens none."""
_SCHEMAS: Final = {schema.name: schema for schema in ALL_TABLES}


@dataclass(frozen=True)
class Projector:
    """The projections of each stream. `stands_aside` names rows that are no rows of the model.

    `projections` are by table; `images` get the records of every table.
    """

    codec: Codec
    projections: Mapping[str, tuple[Projection, ...]]
    stands_aside: Callable[[Item], bool]
    parking: Parking
    images: tuple[ImageProjection, ...] = ()

    def apply(self, records: Sequence[StreamRecord]) -> Failed:
        """Give the records to their projections.

        One that fails does not keep the others from their work. A stream that nobody reads is a
        fault of the deployment: KeyError.
        """
        failed: set[str] = set()
        by_table: dict[str, list[StreamRecord]] = {}
        for record in records:
            if not self.stands_aside(record.new or record.old or {}):
                by_table.setdefault(record.table, []).append(record)
        for table, given in by_table.items():
            model = STREAMED[table]
            for image_projection in self.images:
                failed |= self._done(image_projection, given)
            projections = self.projections.get(table, ())
            changes = self._readable(given, model, failed) if projections else []
            for projection in projections:
                failed |= self._done(projection, changes)
        return frozenset(failed)

    def _readable(
        self, records: Sequence[StreamRecord], model: type[Row], failed: set[str]
    ) -> list[Change]:
        """The records as rows. One that is none of the model never will be: it is parked."""
        changes = []
        for record in records:
            try:
                changes.append(self._change(record, model))
            except ValidationError:
                # It never will be one. A fault of ours is another thing, and comes again.
                if not park_record(self.parking, record, "it is not a row of its table"):
                    failed.add(record.sequence_number)
            except Exception:  # noqa: BLE001 - one record must not hide the others
                logger.exception("a record cannot be read", record=record.sequence_number)
                failed.add(record.sequence_number)
        return changes

    def _change(self, record: StreamRecord, model: type[Row]) -> Change:
        schema = _SCHEMAS[record.table]

        def row(item: Item | None) -> Row | None:
            return None if item is None else self.codec.to_row(schema, item, model)

        return Change(record.kind, record.sequence_number, row(record.old), row(record.new), record)

    def _done(
        self, projection: Callable[[Any], Failed], given: Sequence[Change] | Sequence[StreamRecord]
    ) -> Failed:
        if not given:
            return frozenset()
        try:
            return projection(given)
        except InvalidRequest:
            if len(given) == 1:
                # A retry makes no key shorter and no item smaller.
                kept = park_record(self.parking, _record_of(given[0]), INVALID)
                return frozenset() if kept else frozenset({given[0].sequence_number})
        except Exception:  # noqa: BLE001 - all of its changes come again; the others were done
            logger.exception("a projection failed", changes=len(given))
            return frozenset(each.sequence_number for each in given)
        # It is one of several. Each half is projected again, in order: every change counts once.
        half = len(given) // 2
        return self._done(projection, given[:half]) | self._done(projection, given[half:])


def _record_of(given: Change | StreamRecord) -> StreamRecord:
    record = given.record if isinstance(given, Change) else given
    assert record is not None, "the projector made the change from a record"
    return record
