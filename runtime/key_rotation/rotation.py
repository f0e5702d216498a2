"""Key rotation: re-encrypts rows under current keys and rebuilds e-mail indexes.

A data key is replaced when it is used after a year (encryption/key_ring.py); this sweep finds rows
that are not written. It can be interrupted anywhere and resumes there.

Index keys are replaced in three steps, because functions cache keys for minutes. The new key is
created, and lookups use it at once. After INDEX_REST, writers use it. A sweep that starts another
INDEX_REST later rewrites every index, and then the old key is retired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from runtime.alerts.operational_alerts import OperationalAlerts
from runtime.core.change_context import ChangeContext
from runtime.core.errors import Conflict, IntegrityError, KeyForgotten, StaleWrite
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.timestamps import to_datetime, to_timestamp
from runtime.customers.models import Customer
from runtime.dynamodb.expressions import Key
from runtime.encryption.field_encryption import BLIND_INDEX_SUBJECT, FieldEncryption
from runtime.encryption.key_ring import MAX_CACHE_SECONDS, KeyRing
from runtime.encryption.models import DataKey, SweepProgress, key_owner
from runtime.encryption.repository import DataKeyRepository
from runtime.idempotency.optimistic_update import retry_stale
from runtime.key_rotation.encrypted_rows import ENCRYPTED_MODELS, EncryptedRows
from runtime.merchants.models import Merchant, WebhookEndpoint

NEW_PASS_AFTER: Final = timedelta(days=7)
"""Pause between the end of a sweep and the next one, unless one is requested."""
INDEX_REST: Final = timedelta(seconds=2 * MAX_CACHE_SECONDS)
"""Longer than any function may cache a key and keep running."""
MAX_ATTEMPTS = 5
"""Attempts per row when it changes concurrently."""
ROTATED_BY: Final = "system:keys"


@dataclass(frozen=True)
class RotationDependencies:
    """Dependencies of key rotation. `must_stop` returns whether the invocation must end."""

    rows: EncryptedRows
    keys: DataKeyRepository
    ring: KeyRing
    encryption: FieldEncryption
    outside: Outside
    operational_alerts: OperationalAlerts
    must_stop: Callable[[], bool]


@dataclass(frozen=True)
class RotationReport:
    """Progress of each table's sweep; `retired`: index keys that were retired."""

    progress: Mapping[str, SweepProgress]
    finished: bool
    retired: tuple[str, ...] = ()

    def answer(self) -> dict[str, Any]:
        """The report as plain data."""
        shown = {"seen", "renewed", "failed", "started_at", "finished_at"}
        tables = {name: each.model_dump(include=shown) for name, each in self.progress.items()}
        return {"finished": self.finished, "tables": tables, "retired": list(self.retired)}


def new_index_key(deps: RotationDependencies) -> str:
    """Create the next key of e-mail indexes. Returns when writers start to use it.

    Raises Conflict while the last replacement is in progress.
    """
    active = _active_index_keys(deps)
    if len(active) > 1:
        raise Conflict(
            f"The index key {active[0].key_id} is still replacing {active[1].key_id}; "
            "wait until a sweep has finished"
        )
    deps.ring.key_for_writing("index", BLIND_INDEX_SUBJECT)  # creates the first key
    active_from = to_timestamp(deps.outside.now() + INDEX_REST)
    deps.ring.succeed("index", BLIND_INDEX_SUBJECT, active_from=active_from)
    return active_from


def sweep(deps: RotationDependencies, request_id: str, *, again: bool = False) -> RotationReport:
    """Continue the sweep, or start one that is due or requested (`again`)."""
    progress: dict[str, SweepProgress] = {}
    for model in ENCRYPTED_MODELS:
        begun = _begun(model.table_schema.name, deps, again=again)
        progress[model.table_schema.name] = _swept(model, begun, deps, request_id)
    finished = all(each.finished_at is not None for each in progress.values())
    retired = _retire_index_keys(progress["customers"], deps) if finished else ()
    return RotationReport(progress, finished, retired)


def _begun(table: str, deps: RotationDependencies, *, again: bool) -> SweepProgress:
    now = deps.outside.now()
    last = deps.keys.progress(table)
    if last is not None and last.finished_at is None:
        return last
    rested = last is None or now - to_datetime(last.finished_at or "") >= NEW_PASS_AFTER
    if last is not None and not (rested or again):
        return last
    return SweepProgress(key_id=table, started_at=to_timestamp(now))


def _swept(
    model: type[Customer] | type[Merchant] | type[WebhookEndpoint],
    progress: SweepProgress,
    deps: RotationDependencies,
    request_id: str,
) -> SweepProgress:
    if progress.finished_at is not None:
        return progress
    reindex = model is Customer and len(_active_index_keys(deps)) > 1
    for page in deps.rows.pages(model, progress.last_key):
        renewed = failed = 0
        for key, names in page.rows:
            if not names and not reindex:
                continue
            try:
                renewed += _renew(model, key, names, deps, request_id)
            except (IntegrityError, KeyForgotten) as error:
                failed += 1
                logger.error(error.code, detail=error.detail)
                deps.operational_alerts.decryption_failed(error)
            except StaleWrite as busy:
                failed += 1  # the row is intact; the next sweep finds it again
                logger.warning("a row changed too often to be re-encrypted", detail=str(busy))
        done = page.last_key is None
        progress = progress.model_copy(
            update={
                "last_key": None if page.last_key is None else dict(page.last_key),
                "seen": progress.seen + len(page.rows),
                "renewed": progress.renewed + renewed,
                "failed": progress.failed + failed,
                "finished_at": to_timestamp(deps.outside.now()) if done else None,
            }
        )
        deps.keys.note(progress, token=deps.outside.new_id("swp", deps.outside.now()))
        if deps.must_stop():
            break
    return progress


def _renew(
    model: type[Customer] | type[Merchant] | type[WebhookEndpoint],
    key: Key,
    names: tuple[str, ...],
    deps: RotationDependencies,
    request_id: str,
) -> int:
    def attempt() -> int:
        row = deps.rows.get(model, key)
        if row is None:
            return 0
        changes = _new_index(row, deps)
        if not names and not changes:
            return 0
        now = deps.outside.now()
        cause = deps.outside.new_id("rot", now)
        context = ChangeContext(changed_by=ROTATED_BY, request_id=request_id, cause=cause)
        after = row.next_version(to_timestamp(now), changes, context)
        deps.rows.renew(row, after, names, token=cause)
        return 1

    too_busy = StaleWrite(
        model.table_schema.name,
        f"{dict(key)} changed {MAX_ATTEMPTS} times while it was re-encrypted",
    )
    return retry_stale(MAX_ATTEMPTS, attempt, too_busy)


def _new_index(
    row: Customer | Merchant | WebhookEndpoint, deps: RotationDependencies
) -> dict[str, Any]:
    if not isinstance(row, Customer) or row.email is None:
        return {}
    email_index = deps.encryption.blind_index(row.merchant_id, row.email)
    return {} if email_index == row.email_index else {"email_index": email_index}


def _active_index_keys(deps: RotationDependencies) -> list[DataKey]:
    rows = deps.keys.all_of(key_owner("index", BLIND_INDEX_SUBJECT))
    return [row for row in rows if row.retired_at is None]


def _retire_index_keys(customers: SweepProgress, deps: RotationDependencies) -> tuple[str, ...]:
    """Retire the replaced index keys once every row was written after the new key took over.

    A row that could not be decrypted keeps the old key: only that key finds it.
    """
    active = _active_index_keys(deps)
    if len(active) < 2 or customers.failed:
        return ()
    newest, *older = active
    took_over = to_datetime(newest.active_from or newest.created_at) + INDEX_REST
    if to_datetime(customers.started_at) < took_over:
        return ()
    for key in older:
        now = deps.outside.now()
        deps.keys.retire(key, to_timestamp(now), token=deps.outside.new_id("ret", now))
    return tuple(key.key_id for key in older)
