"""Routes of settlement files: a link to upload one, and the processing state of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from runtime.core.scope import Scope
from runtime.core.signed_links import LINK_SECONDS, SignedLinks
from runtime.core.timestamps import to_timestamp
from runtime.http.caller import require_found
from runtime.http.pagination import Cursors, take_page
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.idempotency.claims import ClaimReader, create_once
from runtime.merchants.profiles import MerchantProfiles
from runtime.reconciliation.files.api import (
    FileProgress,
    NewSettlementFile,
    SettlementFileAnswer,
    SettlementFileList,
    SettlementFileQuery,
    SettlementFileRequest,
)
from runtime.reconciliation.files.models import (
    FILE_PREFIX,
    FileStatus,
    SettlementFile,
    merchant_status,
)
from runtime.reconciliation.files.names import upload_key
from runtime.reconciliation.files.repository import SettlementFileRepository


@dataclass(frozen=True)
class SettlementFileDependencies:
    """Dependencies for announcing a file and signing its upload link."""

    files: SettlementFileRepository
    links: SignedLinks
    merchants: MerchantProfiles
    claims: ClaimReader


@dataclass(frozen=True)
class SettlementFileReads:
    """Dependencies for reading settlement files."""

    files: SettlementFileRepository
    cursors: Cursors


def create_settlement_file(
    request: SettlementFileRequest, call: Call, dependencies: SettlementFileDependencies
) -> StoredAnswer:
    """Store the row of a file that will be uploaded, and answer with a signed link for it.

    The row comes first, so that no object can arrive without one. A repetition of the request
    gets the same link, with the same expiry. Raises InvalidValue if an operator names no
    merchant, NotFound for an unknown one.
    """
    merchant = dependencies.merchants.require(call.caller.merchant(call.acting_for))
    now = to_timestamp(call.now)
    expires_at = to_timestamp(call.now + timedelta(seconds=LINK_SECONDS))
    file_id = call.new_id(FILE_PREFIX)
    file = SettlementFile(
        id=file_id,
        merchant_id=merchant.id,
        merchant_status=merchant_status(merchant.id, FileStatus.RECEIVED),
        name=request.name,
        key=upload_key(merchant.id, file_id, request.name),
        status=FileStatus.RECEIVED,
        expected_sha256=request.sha256,
        upload_expires_at=expires_at,
        requested_by=call.caller.subject,
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
    link = dependencies.links.upload(file.key, request.sha256)
    answer = NewSettlementFile(
        **_shape(file, call.now).model_dump(),
        upload_url=link.url,
        upload_headers=link.headers,
        expires_at=expires_at,
    )
    return create_once(
        call,
        merchant.id,
        answer,
        lambda claim, token: dependencies.files.create(file, claim, token=token, now=call.now),
        claims=dependencies.claims,
        index_buckets=merchant.index_buckets,
    )


def list_settlement_files(
    query: SettlementFileQuery, call: Call, reads: SettlementFileReads
) -> SettlementFileList:
    """A page of a merchant's files, newest first.

    Without a merchant an operator sees the files of no merchant. Raises BadCursor.
    """
    owner = call.caller.owner(call.acting_for)
    cursor = reads.cursors.of(query, "settlement-files", owner)
    entries = reads.files.newest_first(
        owner,
        query.status,
        before_id=cursor.position,
        page_size=query.limit + 1,
    )
    page = take_page(entries, limit=query.limit, position=lambda entry: entry.id)
    rows = reads.files.get_many([entry.id for entry in page.entries], Scope(owner))
    # The index may be seconds behind the rows.
    answers = (_shape(row, call.now) for row in rows if query.status in (None, row.status))
    return SettlementFileList.from_items(answers, cursor.after(page.next_position))


def get_settlement_file(
    file_id: str, call: Call, reads: SettlementFileReads
) -> SettlementFileAnswer:
    """A file, strongly consistent. Raises NotFound."""
    return _shape(
        require_found(reads.files.get(file_id, call.scope), "settlement file", file_id), call.now
    )


def _shape(file: SettlementFile, now: datetime) -> SettlementFileAnswer:
    members = file.model_dump(include=set(SettlementFileAnswer.model_fields) - {"progress"})
    progress = FileProgress.of(file)
    return SettlementFileAnswer(**{**members, "reason": _reason(file, now), "progress": progress})


def _reason(file: SettlementFile, now: datetime) -> str | None:
    """Why a file was rejected; for a file that was not uploaded in time, what to do."""
    expires_at = file.upload_expires_at
    if (
        file.status is not FileStatus.RECEIVED
        or expires_at is None
        or to_timestamp(now) < expires_at
    ):
        return file.reason
    return (
        f"No upload was seen and the link ended at {expires_at}. If the file was not uploaded, "
        "create a new settlement file."
    )
