"""New keys for old: rows are enciphered again under today's keys, e-mail indexes made again.

A data key gets a successor when it is used after a year (encryption/key_ring.py); what lies still
is found by this sweep. It may be stopped anywhere and goes on where it was.

Index keys change in three steps, because functions remember keys for minutes: the new key is made,
and found by at once; after INDEX_REST it is written by; a sweep that begins another INDEX_REST
later writes every index again, and then the old key is retired.
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
from runtime.merchants.models import Merchant

NEW_PASS_AFTER: Final = timedelta(days=7)
"""A sweep begins so long after the last one ended, unless it is asked for."""
INDEX_REST: Final = timedelta(seconds=2 * MAX_CACHE_SECONDS)
"""Longer than any function remembers a key and then runs on."""
MAX_ATTEMPTS = 5
"""Readings of one row that somebody changes meanwhile."""
ROTATED_BY: Final = "system:keys"


@dataclass(frozen=True)
class RotationDependencies:
    """What changing keys works with. `must_stop` says that the invocation's time runs out."""

    rows: EncryptedRows
    keys: DataKeyRepository
    ring: KeyRing
    encryption: FieldEncryption
    outside: Outside
    operational_alerts: OperationalAlerts
    must_stop: Callable[[], bool]


@dataclass(frozen=True)
class RotationReport:
    """How far each table's sweep has come; `retired`: index keys that nothing is found by now."""

    progress: Mapping[str, SweepProgress]
    finished: bool
    retired: tuple[str, ...] = ()

    def answer(self) -> dict[str, Any]:
        """As plain data."""
        shown = {"seen", "renewed", "failed", "started_at", "finished_at"}
        tables = {name: each.model_dump(include=shown) for name, each in self.progress.items()}
        return {"finished": self.finished, "tables": tables, "retired": list(self.retired)}


def new_index_key(deps: RotationDependencies) -> str:
    """Make the successor of the key of e-mail indexes; when it is written by from.

    Raises Conflict while the last change is not finished.
    """
    living = _living_index_keys(deps)
    if len(living) > 1:
        raise Conflict(
            f"The index key {living[0].key_id} is still replacing {living[1].key_id}; "
            "wait until a sweep has finished"
        )
    deps.ring.key_for_writing("index", BLIND_INDEX_SUBJECT)  # there may be none at all yet
    active_from = to_timestamp(deps.outside.now() + INDEX_REST)
    deps.ring.succeed("index", BLIND_INDEX_SUBJECT, active_from=active_from)
    return active_from


def sweep(deps: RotationDependencies, request_id: str, *, again: bool = False) -> RotationReport:
    """Go on with the sweep, or begin one that is due or asked for (`again`)."""
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
    model: type[Customer] | type[Merchant],
    progress: SweepProgress,
    deps: RotationDependencies,
    request_id: str,
) -> SweepProgress:
    if progress.finished_at is not None:
        return progress
    reindex = model is Customer and len(_living_index_keys(deps)) > 1
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
                failed += 1  # nothing is wrong with it: the next sweep finds it again
                logger.warning("a row was too busy to be encrypted again", detail=str(busy))
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
    model: type[Customer] | type[Merchant],
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
        f"{dict(key)} changed {MAX_ATTEMPTS} times while it was renewed",
    )
    return retry_stale(MAX_ATTEMPTS, attempt, too_busy)


def _new_index(row: Customer | Merchant, deps: RotationDependencies) -> dict[str, Any]:
    if not isinstance(row, Customer) or row.email is None:
        return {}
    email_index = deps.encryption.blind_index(row.merchant_id, row.email)
    return {} if email_index == row.email_index else {"email_index": email_index}


def _living_index_keys(deps: RotationDependencies) -> list[DataKey]:
    rows = deps.keys.all_of(key_owner("index", BLIND_INDEX_SUBJECT))
    return [row for row in rows if row.retired_at is None]


def _retire_index_keys(customers: SweepProgress, deps: RotationDependencies) -> tuple[str, ...]:
    """Retire what the newest index key has replaced, if every row was written after it took over.

    A row that could not be opened keeps the old key alive: it is found by that alone.
    """
    living = _living_index_keys(deps)
    if len(living) < 2 or customers.failed:
        return ()
    newest, *older = living
    took_over = to_datetime(newest.active_from or newest.created_at) + INDEX_REST
    if to_datetime(customers.started_at) < took_over:
        return ()
    for key in older:
        now = deps.outside.now()
        deps.keys.retire(key, to_timestamp(now), token=deps.outside.new_id("ret", now))
    return tuple(key.key_id for key in older)
