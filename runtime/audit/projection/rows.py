"""From a record of a change stream to the audit row that tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from runtime.alerts.models import AlertFacts, AlertType, Detail, Window
from runtime.audit.actions import OUT_OF_BAND_ACTION, REBUILT, action_of
from runtime.audit.chain import sealed
from runtime.audit.models import ACTION_BUCKETS, USER_BUCKETS, AuditRow, EntityType
from runtime.core.errors import NotFound
from runtime.core.fields import PLATFORM, Timestamp
from runtime.core.observability import logger
from runtime.core.timestamps import is_timestamp, to_datetime, to_timestamp
from runtime.customers.models import Customer
from runtime.dynamodb.index_shards import bucket_for
from runtime.dynamodb.schema import Row
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
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
"""What is audited, by its table."""
UNKNOWN_USER: Final = "unknown"
"""`user_id` of a change that was made outside."""
_STAMP: Final = ("ip_address", "user_agent", "request_id", "cause")
_FRESH: Final = ("cause", "request_id", "updated_at")
"""Of these, every write of the application changes one at least."""
_KEYS: Final = frozenset({"id", "shard"})
"""Said by the row's own attributes already, as is an owner who did not change."""


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
class AuditableChange:
    """A record with what all its rows say: whose it is, and the images' hashes."""

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
        """The version before; 0 where there was none that can be read."""
        return number_of(self.record.old or {}, "version") or 0

    @property
    def new_version(self) -> int:
        """The version after; of a deleted row, the one that it had."""
        return number_of(self.record.new or self.record.old or {}, "version") or 0

    @property
    def happened_at(self) -> Timestamp:
        """When the stream says that it happened."""
        return to_timestamp(self.record.arrived_at)


@dataclass(frozen=True)
class AuditRows:
    """Makes rows. `buckets_of` says into how many index buckets an owner's rows are spread."""

    buckets_of: Callable[[str], int]

    def of_version(self, told: AuditableChange, sequence: str, previous: str) -> AuditRow:
        """What the application changed."""
        old, new = told.record.old, told.record.new or {}
        hidden = _HIDDEN[told.record.table]
        action = action_of(
            told.entity_type,
            None if old is None else shown(old, hidden),
            shown(new, hidden),
            changed_attributes(old or {}, new),
        )
        return self._stamped(_Step(told, action, old, new), new, sequence, previous)

    def of_change_outside(self, told: AuditableChange, sequence: str, previous: str) -> AuditRow:
        """What somebody changed or deleted past the application.

        Whoever does that leaves the stamp of the change before standing, so it is not told.
        """
        return self._sealed(
            _Step(told, OUT_OF_BAND_ACTION, told.record.old, told.record.new),
            sequence=sequence,
            prev_hash=previous,
            timestamp=told.happened_at,
            user_id=UNKNOWN_USER,
        )

    def of_lost_version(self, told: AuditableChange, sequence: str, previous: str) -> AuditRow:
        """What the record's old image tells of the version before, whose record was lost."""
        left = told.record.old or {}
        return self._stamped(_Step(told, REBUILT, None, left), left, sequence, previous)

    def of_lost_change_outside(
        self, told: AuditableChange, sequence: str, previous: str
    ) -> AuditRow:
        """What the record's old image tells of a change from outside, whose record was lost."""
        return self._sealed(
            _Step(told, OUT_OF_BAND_ACTION, None, told.record.old),
            sequence=sequence,
            prev_hash=previous,
            timestamp=told.happened_at,
            user_id=UNKNOWN_USER,
            cause=REBUILT,
        )

    def _stamped(self, step: _Step, image: Image, sequence: str, previous: str) -> AuditRow:
        """A row that says what the image's own stamp says: who, when, from where and why."""
        return self._sealed(
            step,
            sequence=sequence,
            prev_hash=previous,
            timestamp=text_of(image, "updated_at"),
            user_id=text_of(image, "changed_by"),
            **{name: text_of(image, name) for name in _STAMP},
        )

    def _buckets(self, owner: str) -> int:
        """The first bucket of an owner who is gone, or was edited past reading: it is always read.

        That such a row changed has to be told all the more.
        """
        try:
            return self.buckets_of(owner)
        except (NotFound, ValidationError):
            logger.warning("an owner's index buckets are not known", owner=owner)
            return 1

    def _sealed(self, step: _Step, *, user_id: str, **said: str) -> AuditRow:
        told, known = step.told, step.new or step.old or {}
        old, new = step.old or {}, step.new or {}
        hidden = _HIDDEN[told.record.table]
        said_already = _KEYS if _was_moved(step) else _KEYS | {"merchant_id"}
        changes = tuple(each for each in changed_attributes(old, new) if each not in said_already)
        # Of a row that was moved: the one who lost it has to hear of it.
        owner = text_of(step.old or known, "merchant_id") or PLATFORM
        return sealed(
            AuditRow(
                entity_id=told.entity_id,
                action_bucket=bucket_for(step.action, told.entity_id, ACTION_BUCKETS),
                user_bucket=bucket_for(user_id, told.entity_id, USER_BUCKETS),
                merchant_bucket=bucket_for(owner, told.entity_id, self._buckets(owner)),
                entity_type=told.entity_type,
                version=number_of(known, "version") or 0,
                action=step.action,
                user_id=user_id,
                merchant_id=owner,
                old_values=_only(changes, shown(old, hidden)),
                new_values=_only(changes, shown(new, hidden)),
                changes=changes,
                image_hash=image_hash(step.new),
                **said,
            )
        )


@dataclass(frozen=True, slots=True)
class _Step:
    """What one row tells: from which image to which; None: there was, or is, none."""

    told: AuditableChange
    action: str
    old: Image | None
    new: Image | None


def out_of_band_reason(told: AuditableChange) -> str | None:
    """What nobody who keeps to the rules has done: a write is one version more, with its cause."""
    record = told.record
    if record.new is None:
        return "the row was deleted"
    if not is_timestamp(text_of(record.new, "updated_at")):
        return "its updated_at is not a time"
    if record.old is None:
        return None if told.new_version == 1 else f"it began at version {told.new_version}"
    if text_of(record.new, "merchant_id") != text_of(record.old, "merchant_id"):
        return "its owner changed"
    if told.new_version != told.old_version + 1:
        return f"version {told.old_version} became {told.new_version}"
    if all(record.new.get(name) == record.old.get(name) for name in _FRESH):
        return "there is no record of who changed it"
    return None


def _was_moved(step: _Step) -> bool:
    """Whether there was another owner before; the application never changes one."""
    if step.old is None or step.new is None:
        return False
    return text_of(step.old, "merchant_id") != text_of(step.new, "merchant_id")


def is_rebuilt(row: AuditRow) -> bool:
    """Whether the row was made from the record after the one that it tells."""
    return row.cause == REBUILT


def _only(names: tuple[str, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def change_outside(row: AuditRow, reason: str = "") -> AlertFacts:
    """What the projector raises before it puts a row that tells a change from outside.

    The alert's id follows from the row alone, so whoever has the row can look whether it was
    raised.
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
