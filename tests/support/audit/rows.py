"""Audit rows in tests: records of invented changes, and all facts about an entity's chain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from runtime.alerts.models import Alert, AlertType
from runtime.alerts.repository import AlertRepository
from runtime.audit.chain import check_chain, is_outside
from runtime.audit.models import AuditRow
from runtime.audit.projection.balance_attribution import BalanceAttribution
from runtime.audit.projection.projection import AuditProjection
from runtime.audit.projection.rows import AuditRows
from runtime.audit.repository import AuditRepository
from runtime.core.timestamps import to_timestamp
from runtime.dynamodb.codec import Item
from runtime.dynamodb.expressions import put
from runtime.dynamodb.schema import Row
from runtime.dynamodb.store import Store
from runtime.ledger.accounts.models import Account
from runtime.ledger.entries.repository import EntryRepository
from runtime.ledger.transfers.models import Leg, Transfer
from runtime.ledger.transfers.repository import TransferRepository
from runtime.streams.images import image_hash
from runtime.streams.records import Kind, StreamRecord
from tests.support.fakes import ParkingLot
from tests.support.outside import new_id
from tests.support.platform import SETUP, Platform

_numbers = itertools.count(1)
DONE: frozenset[str] = frozenset()
"""The answer of a projection that has processed every record."""

_images: dict[int, tuple[Row, Item]] = {}
"""Of each row as it was first stored: encrypting it again would give another image."""


def image_of(platform: Platform, row: Row) -> Item:
    """The stored item of the row, the same one each time."""
    if id(row) not in _images:
        _images[id(row)] = (row, platform.store.codec.to_item(row))
    return _images[id(row)][1]


def audit_projection(
    platform: Platform, store: Store | None = None, parking: ParkingLot | None = None
) -> AuditProjection:
    """The projection on a world's tables."""
    store = store or platform.store
    return AuditProjection(
        audit=AuditRepository(store),
        rows=AuditRows(lambda _: 1),
        deltas=BalanceAttribution(TransferRepository(store), EntryRepository(store)),
        parking=parking or ParkingLot(),
        alerts=AlertRepository(store),
        threads=store.outside.threads,
    )


def reported(
    platform: Platform, old: Row | None, new: Row | None, number: int | None = None
) -> StreamRecord:
    """The stream record of a change; later ones have higher numbers."""
    kind = Kind.INSERT if old is None else Kind.REMOVE if new is None else Kind.MODIFY
    row = new or old
    assert row is not None
    sequence = f"{number or next(_numbers):025d}"
    images = [None if each is None else image_of(platform, each) for each in (old, new)]
    moment = platform.clock().timestamp()
    raw = {"dynamodb": {"SequenceNumber": sequence, "ApproximateCreationDateTime": moment}}
    return StreamRecord(row.table_schema.name, kind, sequence, images[0], images[1], raw)


def account(platform: Platform, **more: Any) -> Account:
    """A new wallet that is not stored."""
    now = platform.clock()
    values: dict[str, Any] = {
        "id": new_id("acc", now),
        "account_type": "wallet",
        "currency": "USD",
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        **SETUP.stamp(),
        **more,
    }
    return Account(**values)


def transfer(platform: Platform, account_id: str, amount: int, **more: Any) -> Transfer:
    """A processed transfer that takes `amount` from the account; it is stored."""
    now = platform.clock()
    transfer_id = new_id("trf", now)
    values: dict[str, Any] = {
        "id": transfer_id,
        "operation_id": transfer_id,
        "legs": (Leg(from_account_id=account_id, to_account_id="acc_b", amount=amount),),
        "amount": amount,
        "currency": "USD",
        "status": "processed",
        "created_at": to_timestamp(now),
        "updated_at": to_timestamp(now),
        **SETUP.stamp(),
        **more,
    }
    row = Transfer(**values)
    platform.store.transact([put(row)], token=new_id("tst", now))
    return row


def records_of(platform: Platform, states: Sequence[Any]) -> list[StreamRecord]:
    """The records of a row's successive states."""
    return [reported(platform, old, new) for old, new in zip([None, *states], states, strict=False)]


def next_version(row: Any, **changes: Any) -> Any:
    """The row after a change by the application: the next version, with its own cause."""
    version = row.version + 1
    stamp = {"version": version, "cause": f"cause-{version}", "request_id": f"request-{version}"}
    return row.model_copy(update={**stamp, "changed_by": f"user-{version}", **changes})


def debited(platform: Platform, row: Account, amount: int) -> Account:
    """The account after a transfer took `amount` from it."""
    cause = transfer(platform, row.id, amount).id
    return next_version(row, balance=row.balance - amount, cause=cause)


def history(
    platform: Platform, first: Any, *steps: dict[str, Any]
) -> tuple[list[Any], list[StreamRecord]]:
    """States of a row, each with its own version, and their records."""
    rows, records = [first], [reported(platform, None, first)]
    for changes in steps:
        rows.append(next_version(rows[-1], **changes))
        records.append(reported(platform, rows[-2], rows[-1]))
    return rows, records


def chain_of(platform: Platform, entity_id: str) -> list[AuditRow]:
    """All rows of an entity in order; their chain must be valid."""
    rows = [row for row in platform.rows(AuditRow) if row.entity_id == entity_id]
    rows.sort(key=lambda row: row.sequence)
    verdict = check_chain(rows)
    assert verdict.valid, verdict
    return rows


def versions_of(rows: Sequence[AuditRow]) -> list[int]:
    """The versions in the application's own rows."""
    return [row.version for row in rows if not is_outside(row.sequence)]


def must_tell(platform: Platform, states: Sequence[Any]) -> list[AuditRow]:
    """Exactly one row per version, in order, each with the image of its state."""
    rows = chain_of(platform, states[0].id)
    assert versions_of(rows) == [state.version for state in states]
    images = [image_hash(image_of(platform, state)) for state in states]
    assert [row.image_hash for row in rows if not is_outside(row.sequence)] == images
    return rows


def outside_alerts(platform: Platform) -> list[Alert]:
    """Alerts about out-of-band changes."""
    return [each for each in platform.rows(Alert) if each.type is AlertType.OUT_OF_BAND]
