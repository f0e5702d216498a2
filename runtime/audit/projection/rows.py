"""Builds audit rows from change stream records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from runtime.alerts.models import AlertFacts, AlertType, Detail, Window
from runtime.audit.actions import OUT_OF_BAND_ACTION, REBUILT, action_of
from runtime.audit.chain import FIRST, GENESIS, cause_of_record, sealed
from runtime.audit.listing import is_listed_with_another, listed_request
from runtime.audit.models import ACTION_BUCKETS, USER_BUCKETS, AuditRow, EntityType
from runtime.core.errors import NotFound
from runtime.core.fields import PLATFORM, Timestamp
from runtime.core.observability import logger
from runtime.core.timestamps import is_timestamp, to_datetime, to_timestamp
from runtime.customers.models import Customer
from runtime.dynamodb.index_shards import bucket_for
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import Account
from runtime.ledger.transfers.models import Transfer
from runtime.merchants.models import Merchant
from runtime.payments.models import Payment
from runtime.payments.transaction_models import Transaction
from runtime.reconciliation.settlements.models import Settlement
from runtime.streams.images import Image, changed_attributes, image_hash, number_of, shown, text_of
from runtime.streams.records import StreamRecord

AUDITED: Final[Mapping[str, tuple[EntityType, type[Row]]]] = {
    "accounts": (EntityType.ACCOUNT, Account),
    "customers": (EntityType.CUSTOMER, Customer),
    "merchants": (EntityType.MERCHANT, Merchant),
    "payments": (EntityType.PAYMENT, Payment),
    "settlements": (EntityType.SETTLEMENT, Settlement),
    "transactions": (EntityType.TRANSACTION, Transaction),
    "transfers": (EntityType.TRANSFER, Transfer),
}
"""Audited entity type and model, by table."""
UNKNOWN_USER: Final = "unknown"
"""`user_id` of an out-of-band change."""
_STAMP: Final = ("ip_address", "user_agent", "request_id", "cause")
_FRESH: Final = ("cause", "request_id", "updated_at")
"""Every write by the application changes at least one of these."""
_KEYS: Final = frozenset({"id", "shard"})
"""Already in the row's own attributes, as is an unchanged owner."""


def entity_of(image: Image) -> str:
    """Entity id in the audit log: the item's id, which names the shard of a balance shard."""
    return text_of(image, "id")


def _hidden_of(model: type[Row]) -> frozenset[str]:
    """Attributes whose values must not appear in the log.

    Encrypted fields, their blind indexes, and fields that the model hides from repr: a customer's
    metadata, which erasure deletes while the log stays.
    """
    schema = model.table_schema
    unshown = (name for name, field in model.model_fields.items() if not field.repr)
    return frozenset({*schema.encrypted, *schema.blind_indexes, *unshown})


_HIDDEN: Final = {table: _hidden_of(model) for table, (_, model) in AUDITED.items()}


@dataclass(frozen=True)
class AuditableChange:
    """A stream record with its entity and the hashes of its images."""

    record: StreamRecord
    entity_id: str
    entity_type: EntityType
    old_hash: str
    new_hash: str

    @staticmethod
    def of(record: StreamRecord) -> AuditableChange:
        """Read a record of an audited table."""
        return AuditableChange(
            record=record,
            entity_id=entity_of(record.new or record.old or {}),
            entity_type=AUDITED[record.table][0],
            old_hash=image_hash(record.old),
            new_hash=image_hash(record.new),
        )

    @property
    def old_version(self) -> int:
        """The version before; 0 if there was none or it cannot be read."""
        return number_of(self.record.old or {}, "version") or 0

    @property
    def new_version(self) -> int:
        """The version after; for a deleted row, its last version."""
        return number_of(self.record.new or self.record.old or {}, "version") or 0

    @property
    def happened_at(self) -> Timestamp:
        """When the stream received the change."""
        return to_timestamp(self.record.arrived_at)


@dataclass(frozen=True)
class AuditRows:
    """Builds rows. `buckets_of` returns the number of index buckets of an owner."""

    buckets_of: Callable[[str], int]

    def of_version(
        self, change: AuditableChange, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        """The row of a change by the application; `previous` is the end of its chain, if any."""
        old, new = change.record.old, change.record.new or {}
        hidden = _HIDDEN[change.record.table]
        action = action_of(
            change.entity_type,
            None if old is None else shown(old, hidden),
            shown(new, hidden),
            changed_attributes(old or {}, new),
        )
        return self._stamped(
            _Step(change, action, old, new, change.new_hash), new, sequence, previous
        )

    def of_out_of_band_change(
        self, change: AuditableChange, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        """The row of a change or deletion outside the application.

        The item still carries the stamp of the previous change, so the stamp is left out. Where the
        row begins the chain, its cause names the record; elsewhere its sequence does.
        """
        return self._sealed(
            _Step(
                change,
                OUT_OF_BAND_ACTION,
                change.record.old,
                change.record.new,
                change.new_hash,
            ),
            sequence=sequence,
            previous=previous,
            timestamp=change.happened_at,
            user_id=UNKNOWN_USER,
            cause=cause_of_record(change.record.sequence_number) if sequence == FIRST else "",
        )

    def of_lost_version(
        self, change: AuditableChange, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        """The previous version, whose record was lost, from this record's old image."""
        left = change.record.old or {}
        step = _Step(change, REBUILT, None, left, change.old_hash)
        return self._stamped(step, left, sequence, previous)

    def of_lost_out_of_band_change(
        self, change: AuditableChange, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        """The previous out-of-band change, whose record was lost, from this record's old image."""
        return self._sealed(
            _Step(change, OUT_OF_BAND_ACTION, None, change.record.old, change.old_hash),
            sequence=sequence,
            previous=previous,
            timestamp=change.happened_at,
            user_id=UNKNOWN_USER,
            cause=REBUILT,
        )

    def _stamped(
        self, step: _Step, image: Image, sequence: str, previous: AuditRow | None
    ) -> AuditRow:
        """A row with the image's own stamp: who, when, from where and why."""
        return self._sealed(
            step,
            sequence=sequence,
            previous=previous,
            timestamp=text_of(image, "updated_at"),
            user_id=text_of(image, "changed_by"),
            **{name: text_of(image, name) for name in _STAMP},
        )

    def _buckets(self, owner: str) -> int:
        """Index buckets of an owner; 1 if the owner is missing or invalid: bucket 0 is always read.

        The change of such a row must still be recorded.
        """
        try:
            return self.buckets_of(owner)
        except (NotFound, ValidationError):
            logger.warning("an owner's index buckets are unknown", owner=owner)
            return 1

    def _sealed(
        self, step: _Step, *, previous: AuditRow | None, user_id: str, **said: str
    ) -> AuditRow:
        change, known = step.change, step.new or step.old or {}
        old, new = step.old or {}, step.new or {}
        hidden = _HIDDEN[change.record.table]
        said_already = _KEYS if _was_moved(step) else _KEYS | {"merchant_id"}
        changes = tuple(each for each in changed_attributes(old, new) if each not in said_already)
        # A row that changed owner is listed for the previous owner.
        owner = text_of(step.old or known, "merchant_id") or PLATFORM
        is_listed = not is_listed_with_another(step.action, step.old, new)
        return sealed(
            AuditRow(
                entity_id=change.entity_id,
                action_bucket=bucket_for(step.action, change.entity_id, ACTION_BUCKETS),
                user_bucket=bucket_for(user_id, change.entity_id, USER_BUCKETS)
                if is_listed
                else None,
                merchant_bucket=bucket_for(owner, change.entity_id, self._buckets(owner))
                if is_listed
                else None,
                listed_request=listed_request(said.get("request_id", ""), previous)
                if is_listed
                else None,
                prev_hash=GENESIS if previous is None else previous.hash,
                entity_type=change.entity_type,
                version=number_of(known, "version") or 0,
                action=step.action,
                user_id=user_id,
                merchant_id=owner,
                old_values=shown(_only(changes, old), hidden),
                new_values=shown(_only(changes, new), hidden),
                changes=changes,
                image_hash=step.new_hash,
                **said,
            )
        )


@dataclass(frozen=True, slots=True)
class _Step:
    """The change of one row; an image is None if there was, or is, no item.

    `new_hash` is the hash of the new image.
    """

    change: AuditableChange
    action: str
    old: Image | None
    new: Image | None
    new_hash: str


def out_of_band_reason(change: AuditableChange) -> str | None:
    """Why the application cannot have made this change: every write adds 1 to the version."""
    record = change.record
    if record.new is None:
        return "the row was deleted"
    if not is_timestamp(text_of(record.new, "updated_at")):
        return "its updated_at is not a time"
    if record.old is None:
        return None if change.new_version == 1 else f"it began at version {change.new_version}"
    if text_of(record.new, "merchant_id") != text_of(record.old, "merchant_id"):
        return "its owner changed"
    if change.new_version != change.old_version + 1:
        return f"version {change.old_version} became {change.new_version}"
    if all(record.new.get(name) == record.old.get(name) for name in _FRESH):
        return "there is no record of who changed it"
    return None


def _was_moved(step: _Step) -> bool:
    """Whether the owner changed; the application never changes it."""
    if step.old is None or step.new is None:
        return False
    return text_of(step.old, "merchant_id") != text_of(step.new, "merchant_id")


def is_rebuilt(row: AuditRow) -> bool:
    """Whether the row was made from the record after its own."""
    return row.cause == REBUILT


def _only(names: tuple[str, ...], image: Image) -> Image:
    return {name: image[name] for name in names if name in image}


def out_of_band_alert(row: AuditRow, reason: str = "") -> AlertFacts:
    """The alert that the projector raises before it writes the row of an out-of-band change.

    Its id follows from the row alone, so a reader of the row can check that it was raised.
    """
    at = to_datetime(row.timestamp)
    detail: Detail = {"sequence": row.sequence, "attributes": list(row.changes), "reason": reason}
    return AlertFacts(
        AlertType.OUT_OF_BAND,
        row.entity_type,
        row.entity_id,
        row.merchant_id,
        detail,
        at,
        Window(at, row.sequence),
    )
