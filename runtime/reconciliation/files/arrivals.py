"""New objects in the settlement bucket: one row for each version of an object.

The row's id derives from time, key and version, so repeated events find the same row.
"""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.core.errors import NotFound, StaleWrite
from runtime.core.fields import PLATFORM
from runtime.core.ids import repeatable_id
from runtime.reconciliation.dependencies import ReconciliationDependencies, Step, stepped
from runtime.reconciliation.files.bucket import ObjectVersion, StoredObject
from runtime.reconciliation.files.models import (
    FILE_PREFIX,
    MAX_FILE_NAME,
    FileStatus,
    SettlementFile,
    merchant_status,
)

_KEY: Final = re.compile(
    r"reconciliation/(?P<merchant>[^/]+)/(?:(?P<file>fil_[0-9A-HJKMNP-TV-Z]{26})/)?(?P<name>[^/]+)"
)
MAX_BINDINGS: Final = 5
"""Attempts at a row that others change meanwhile."""


def row_of(
    stored: StoredObject, request_id: str, dependencies: ReconciliationDependencies
) -> SettlementFile:
    """The row of this version of an object: the one of its upload, or a new one.

    The first version under the key of an upload is the announced one.
    """
    match = _KEY.fullmatch(stored.version.key)
    if match is not None and match["file"] is not None:
        for _ in range(MAX_BINDINGS):
            announced = dependencies.chunks.file(match["file"])
            if announced is None or announced.key != stored.version.key:
                break
            if announced.etag is not None:
                if _is_of(announced, stored.version):
                    return announced
                break  # another version was put under its key: a separate file
            step = Step.begin("bnd", request_id, dependencies.outside)
            bound = stepped(announced, step, **_binding(stored))
            try:
                dependencies.chunks.advance(announced, bound, token=step.token)
            except StaleWrite:
                continue
            return bound
    return dependencies.chunks.put_new_file(_new_row(stored, request_id, dependencies))


def _new_row(
    stored: StoredObject, request_id: str, dependencies: ReconciliationDependencies
) -> SettlementFile:
    version = stored.version
    step = Step.begin("arr", request_id, dependencies.outside)
    named = version.version_id or version.etag
    owner = _owner(version.key, dependencies) or PLATFORM
    return SettlementFile(
        id=repeatable_id(FILE_PREFIX, stored.put_at, version.key, named),
        merchant_id=owner,
        merchant_status=merchant_status(owner, FileStatus.RECEIVED),
        name=version.key.rpartition("/")[2][:MAX_FILE_NAME],
        key=version.key,
        status=FileStatus.RECEIVED,
        created_at=step.at,
        updated_at=step.at,
        **step.context.stamp(),
    ).model_copy(update=_binding(stored))


def _binding(stored: StoredObject) -> dict[str, Any]:
    """Ties a row to one version of its object."""
    version = stored.version
    return {"version_id": version.version_id, "etag": version.etag, "size": stored.size}


def _is_of(file: SettlementFile, version: ObjectVersion) -> bool:
    return (file.version_id, file.etag) == (version.version_id, version.etag)


def lies_in_a_folder(key: str) -> bool:
    """Whether the object is in the folder of some merchant."""
    return _KEY.fullmatch(key) is not None


def _owner(key: str, dependencies: ReconciliationDependencies) -> str | None:
    """The merchant whose folder contains the object."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    try:
        return dependencies.merchants.require(match["merchant"]).id
    except NotFound:
        return None
