"""Applies projections to the tables' change streams.

A projection gets the changes of one table in stream order and returns those that failed. A change
may be delivered twice, late or after a newer one, so projections must be idempotent.
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
from runtime.streams.records import (
    INVALID,
    Change,
    Failed,
    Parking,
    StreamRecord,
    park_record,
    requests_of,
)
from runtime.tables import ALL_TABLES


class Projection(Protocol):
    """Derives data from the changes of one table, parsed as rows of its model."""

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Process the changes and return those that failed.

        Raises InvalidRequest if DynamoDB rejects a resulting write as invalid.
        """
        ...


class ImageProjection(Protocol):
    """Derives data from the raw records of all tables, valid or not."""

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Process the records and return those that failed."""
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
"""Model by table for parsing stream records. None of them has encrypted fields, so the projector
decrypts nothing."""
_SCHEMAS: Final = {schema.name: schema for schema in ALL_TABLES}


@dataclass(frozen=True)
class Projector:
    """The projections of each stream.

    `projections` are by table; `images` get the records of every table. `ignores` selects items
    that are not rows of their table's model.
    """

    codec: Codec
    projections: Mapping[str, tuple[Projection, ...]]
    ignores: Callable[[Item], bool]
    parking: Parking
    images: tuple[ImageProjection, ...] = ()

    def apply(self, records: Sequence[StreamRecord]) -> Failed:
        """Apply the projections. Returns the records to retry.

        A failing projection does not stop the others. A stream without a model is a deployment
        error and raises KeyError.
        """
        failed: set[str] = set()
        by_table: dict[str, list[StreamRecord]] = {}
        for record in records:
            if not self.ignores(record.new or record.old or {}):
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
        """The records as rows. A record that does not match the model is parked."""
        changes = []
        for record in records:
            try:
                changes.append(self._change(record, model))
            except ValidationError:
                # A retry cannot fix the record. Other errors may be temporary and are retried.
                if not park_record(self.parking, record, "it is not a row of its table"):
                    failed.add(record.sequence_number)
            except Exception:  # noqa: BLE001 - one record must not block the others
                logger.exception(
                    "a record cannot be read",
                    record=record.sequence_number,
                    request_id=record.request_id,
                )
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
                # A retry does not make a key shorter or an item smaller.
                kept = park_record(self.parking, _record_of(given[0]), INVALID)
                return frozenset() if kept else frozenset({given[0].sequence_number})
        except Exception:  # noqa: BLE001 - its changes are retried; other projections are done
            logger.exception(
                "a projection failed", changes=len(given), request_ids=requests_of(given)
            )
            return frozenset(each.sequence_number for each in given)
        # One of several is invalid: split in two and project each half again, in order.
        half = len(given) // 2
        return self._done(projection, given[:half]) | self._done(projection, given[half:])


def _record_of(given: Change | StreamRecord) -> StreamRecord:
    record = given.record if isinstance(given, Change) else given
    assert record is not None, "the projector creates changes from records"
    return record
