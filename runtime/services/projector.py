"""What is derived from the tables' change streams: a table of streams and their projections.

A projection gets the changes of one table in the order of the stream and says which ones it could
not do. Each change may come twice, late, or after a newer one, so whatever a projection does must
be the same when it is done again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from pydantic import ValidationError

from runtime.errors import IntegrityError, KeyForgotten
from runtime.models import ALL_TABLES
from runtime.models.account import Account
from runtime.models.alert import Alert
from runtime.models.change import PARKED
from runtime.models.customer import CustomerState
from runtime.models.export import Export
from runtime.models.merchant import MerchantProfile
from runtime.models.payment import Payment
from runtime.models.settlement import Settlement
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.observability import logger
from runtime.repositories.codec import Codec, Item
from runtime.schema import Row


class Kind(StrEnum):
    """What happened to the row (the stream's eventName)."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream. `table` is the schema's name, `raw` the record as it came."""

    table: str
    kind: Kind
    sequence_number: str
    old: Item | None
    new: Item | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a row; `old` is None for a new row, `new` for one that was deleted.

    `record` is what it was read from, for a projection that has to put it aside.
    """

    kind: Kind
    sequence_number: str
    old: Any
    new: Any
    record: StreamRecord | None = None


Failed = frozenset[str]
"""Sequence numbers of changes that were not done."""


class Projection(Protocol):
    """Derives something from the changes of one table, read as rows of its model."""

    def __call__(self, changes: Sequence[Change]) -> Failed:
        """Do all that can be done, and name the rest."""
        ...


class ImageProjection(Protocol):
    """Derives something from the records of any table as they came, readable or not."""

    def __call__(self, records: Sequence[StreamRecord]) -> Failed:
        """Do all that can be done, and name the rest."""
        ...


class Parking(Protocol):
    """Where a record is put aside that trying again will not help, until a person has looked."""

    def park(self, table: str, sequence_number: str, raw: Mapping[str, Any], reason: str) -> None:
        """Keep a record as it came. Raises what the place of keeping raises."""
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
                failed |= _done(image_projection, given)
            projections = self.projections.get(table, ())
            changes = self._readable(given, model, failed) if projections else []
            for projection in projections:
                failed |= _done(projection, changes)
        return frozenset(failed)

    def _readable(
        self, records: Sequence[StreamRecord], model: type[Row], failed: set[str]
    ) -> list[Change]:
        """The records as rows. One that is none of the model never will be: it is parked."""
        changes = []
        for record in records:
            try:
                changes.append(self._change(record, model))
            except (ValidationError, IntegrityError, KeyForgotten):
                # It never will be one. A fault of ours is another thing, and comes again.
                if not put_aside(self.parking, record, "it is no row of its table"):
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


def put_aside(parking: Parking, record: StreamRecord, reason: str) -> bool:
    """Park a record and ring for a person; False when it has to come again instead.

    Called where an exception is handled, the log has it too.
    """
    logger.error(
        PARKED,
        table=record.table,
        record=record.sequence_number,
        reason=reason,
        exc_info=sys.exc_info()[0] is not None,
    )
    try:
        parking.park(record.table, record.sequence_number, record.raw, reason)
    except Exception:  # noqa: BLE001 - whatever it was, the record is still in the stream
        logger.exception("a record could not be parked", record=record.sequence_number)
        return False
    return True


def _done(projection: Callable[[Any], Failed], given: Sequence[Change | StreamRecord]) -> Failed:
    try:
        return projection(given) if given else frozenset()
    except Exception:  # noqa: BLE001 - all of its changes come again; the others were done
        logger.exception("a projection failed", changes=len(given))
        return frozenset(each.sequence_number for each in given)
