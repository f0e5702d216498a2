"""From a record of a change stream to the audit row that tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from runtime.domain.audit_actions import OUT_OF_BAND_ACTION, REBUILT, action_of
from runtime.domain.audit_chain import sealed
from runtime.domain.buckets import bucket_for
from runtime.domain.images import (
    Image,
    changed_attributes,
    image_hash,
    number_of,
    shown,
    text_of,
)
from runtime.domain.instants import to_instant
from runtime.errors import NotFound
from runtime.models.account import PROFILE_SHARD, Account
from runtime.models.audit import ACTION_BUCKETS, USER_BUCKETS, AuditRow, EntityType
from runtime.models.customer import Customer
from runtime.models.fields import PLATFORM, Instant
from runtime.models.merchant import Merchant
from runtime.models.payment import Payment
from runtime.models.settlement import Settlement
from runtime.models.transaction import Transaction
from runtime.models.transfer import Transfer
from runtime.observability import logger
from runtime.schema import Row
from runtime.services.stream_records import StreamRecord

AUDITED: Final[Mapping[str, tuple[EntityType, type[Row]]]] = {
    "accounts": (EntityType.ACCOUNT, Account),
    "customers": (EntityType.CUSTOMER, Customer),
    "merchants": (EntityType.MERCHANT, Merchant),
    "payments": (EntityType.PAYMENT, Payment),
    "settlements": (EntityType.SETTLEMENT, Settlement),
    "transactions": (EntityType.TRANSACTION, Transaction),
    "transfers": (EntityType.TRANSFER, Transfer),
}
"""What is audited, by its table."""
UNKNOWN_USER: Final = "unknown"
"""`user_id` of a change that was made outside."""
_KEYS: Final = frozenset({"id", "shard", "merchant_id"})
"""Said by the row's own attributes already."""


def entity_of(image: Image) -> str:
    """What an item is called in the audit log: its id, and of a fold row its shard as well."""
    entity, shard = text_of(image, "id"), text_of(image, "shard")
    return entity if shard in ("", PROFILE_SHARD) else f"{entity}#{shard}"


def _hidden_of(model: type[Row]) -> frozenset[str]:
    """Attributes whose values must not be told.

    Enciphered ones, their blind indexes, and what the model keeps out of its own text: a customer's
    metadata, which goes when the customer is erased, and the log stays.
    """
    schema = model.table_schema
    unshown = (name for name, field in model.model_fields.items() if not field.repr)
    return frozenset({*schema.encrypted, *schema.blind_indexes, *unshown})


_HIDDEN: Final = {table: _hidden_of(model) for table, (_, model) in AUDITED.items()}


@dataclass(frozen=True)
class Told:
    """A record with what all its rows say: whose it is, and the images' hashes."""

    record: StreamRecord
    entity_id: str
    entity_type: EntityType
    old_hash: str
    new_hash: str

    @staticmethod
    def of(record: StreamRecord) -> Told:
        """Read a record of an audited table."""
        return Told(
            record=record,
            entity_id=entity_of(record.new or record.old or {}),
            entity_type=AUDITED[record.table][0],
            old_hash=image_hash(record.old),
            new_hash=image_hash(record.new),
        )

    @property
    def old_version(self) -> int:
        """The version before; 0 where there was none that can be read."""
        return number_of(self.record.old or {}, "version") or 0

    @property
    def new_version(self) -> int:
        """The version after; of a deleted row, the one that it had."""
        return number_of(self.record.new or self.record.old or {}, "version") or 0

    @property
    def happened_at(self) -> Instant:
        """When the stream says that it happened."""
        return to_instant(self.record.arrived_at)


@dataclass(frozen=True)
class AuditRows:
    """Makes rows. `buckets_of` says into how many index buckets an owner's rows are spread."""

    buckets_of: Callable[[str], int]

    def _buckets(self, owner: str) -> int:
        """The first bucket of an owner who is gone, or was edited past reading: it is always read.

        That such a row changed has to be told all the more.
        """
        try:
            return self.buckets_of(owner)
        except (NotFound, ValidationError):
            logger.warning("an owner's index buckets are not known", owner=owner)
            return 1

    def of_version(self, told: Told, sequence: str, previous: str) -> AuditRow:
        """What the application changed."""
        new, old = told.record.new or {}, told.record.old
        hidden = _HIDDEN[told.record.table]
        changes = changed_attributes(old or {}, new)
        old_shown = None if old is None else shown(old, hidden)
        action = action_of(told.entity_type, old_shown, shown(new, hidden), changes)
        return self._row(told, new, sequence, previous, action, told.record.old)

    def of_change_outside(self, told: Told, sequence: str, previous: str) -> AuditRow:
        """What somebody changed or deleted past the application."""
        image = told.record.new or told.record.old or {}
        row = self._row(
            told, image, sequence, previous, OUT_OF_BAND_ACTION, told.record.old, outside=True
        )
        return row if told.record.new is not None else _deleted(row, told)

    def of_lost(self, told: Told, sequence: str, previous: str, *, outside: bool) -> AuditRow:
        """What the record's old image tells of the change before it, whose record was lost."""
        image = told.record.old or {}
        action = OUT_OF_BAND_ACTION if outside else REBUILT
        row = self._row(told, image, sequence, previous, action, None, outside=outside)
        return sealed(row.model_copy(update={"cause": REBUILT})) if outside else row

    def _row(  # noqa: PLR0913 - a row is made of these
        self,
        told: Told,
        image: Image,
        sequence: str,
        previous: str,
        action: str,
        before: Image | None,
        *,
        outside: bool = False,
    ) -> AuditRow:
        hidden = _HIDDEN[told.record.table]
        changes = tuple(n for n in changed_attributes(before or {}, image) if n not in _KEYS)
        owner = text_of(image, "merchant_id") or PLATFORM
        user = UNKNOWN_USER if outside else text_of(image, "changed_by")
        stamp = _no_stamp() if outside else _stamp_of(image)
        return sealed(
            AuditRow(
                entity_id=told.entity_id,
                sequence=sequence,
                action_bucket=bucket_for(action, told.entity_id, ACTION_BUCKETS),
                user_bucket=bucket_for(user, told.entity_id, USER_BUCKETS),
                merchant_bucket=bucket_for(owner, told.entity_id, self._buckets(owner)),
                timestamp=told.happened_at if outside else text_of(image, "updated_at"),
                entity_type=told.entity_type,
                version=number_of(image, "version") or 0,
                action=action,
                user_id=user,
                merchant_id=owner,
                old_values=_only(changes, shown(before or {}, hidden)),
                new_values=_only(changes, shown(image, hidden)),
                changes=changes,
                image_hash=image_hash(image),
                prev_hash=previous,
                **stamp,
            )
        )


def is_rebuilt(row: AuditRow) -> bool:
    """Whether the row was made from the record after the one that it tells."""
    return row.cause == REBUILT


def _only(names: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def _stamp_of(image: Image) -> dict[str, str]:
    return {name: text_of(image, name) for name in _no_stamp()}


def _no_stamp() -> dict[str, str]:
    """Who changes a row past the application leaves the stamp of the change before standing."""
    return {"ip_address": "", "user_agent": "", "request_id": "", "cause": ""}


def _deleted(row: AuditRow, told: Told) -> AuditRow:
    """A deletion: all that there was is old, nothing is new."""
    was = told.record.old or {}
    values = shown(was, _HIDDEN[told.record.table])
    names = tuple(sorted(set(values) - _KEYS))
    return sealed(
        row.model_copy(
            update={
                "changes": names,
                "old_values": _only(names, values),
                "new_values": {},
                "image_hash": "",
            }
        )
    )
