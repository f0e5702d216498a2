"""Shapes of the settlement file routes."""

import unicodedata
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.forms import formed
from runtime.http.shapes import Answer, Body, Page, PageQuery
from runtime.reconciliation.files.models import MAX_FILE_NAME, FileStatus
from runtime.reconciliation.settlements.models import SettlementFormat

_SEPARATORS: Final = "/\\"
_INVISIBLE: Final = ("C", "Zl", "Zp")
"""Unicode categories of control, format and unassigned characters, and of line breaks."""


def checked_file_name(name: str) -> str:
    """The name, if it is a valid object name. Raises ValueError with the reason otherwise."""
    if not name.strip():
        raise ValueError("must be the file's name, such as payout.csv")
    if any(separator in name for separator in _SEPARATORS):
        raise ValueError("must be a name without slashes, not a path")
    if name.startswith("."):
        raise ValueError("must not begin with a dot")
    if any(unicodedata.category(each).startswith(_INVISIBLE) for each in name):
        raise ValueError("must not contain control characters, line breaks or invisible characters")
    return name


FileName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_FILE_NAME),
    AfterValidator(checked_file_name),
]
Sha256 = Annotated[
    str,
    formed(r"^[0-9a-fA-F]{64}$", "must be a SHA-256 in hex: 64 digits from 0 to f"),
    AfterValidator(str.lower),
]


class SettlementFileRequest(Body, frozen=True):
    """A file that will be uploaded. A name such as 2026-03-15.csv gives the settlement's date."""

    name: Annotated[FileName, Field(description="Without a path: payout-2026-03-15.csv.")]
    sha256: Annotated[
        Sha256 | None,
        Field(description="Of the file's bytes, in hex. A file with another one is rejected."),
    ] = None


class FileProgress(Answer, frozen=True):
    """The progress of a file: a chunk has at most 1,000 lines."""

    chunks: Annotated[int, Field(description="Parts that the file was cut into; 0 before.")]
    chunks_done: Annotated[int, Field(description="Parts whose lines are all recorded.")]
    lines: Annotated[int, Field(description="Lines of the file, without its header.")]


class SettlementFileAnswer(Answer, frozen=True):
    """One object of the settlement bucket, and its processing state."""

    id: Annotated[str, Field(description="Begins with fil_.")]
    merchant_id: str
    name: str
    key: Annotated[str, Field(description="Of the object in the settlement bucket.")]
    format: Annotated[
        SettlementFormat | None,
        Field(description="Layout that its header was recognised as; null until then."),
    ]
    status: FileStatus
    reason: Annotated[
        str | None, Field(description="Why it was rejected, or what it is waiting for.")
    ]
    settlement_ids: Annotated[
        tuple[str, ...],
        Field(description="Settlements that its lines belong to: one for each payout."),
    ]
    progress: FileProgress
    sha256: Annotated[
        str | None, Field(description="Of the file's bytes, in hex; null until they are read.")
    ]
    size: Annotated[int | None, Field(description="In bytes.")]
    date: Annotated[
        str | None, Field(description="Day that the file's name or its lines give, as YYYY-MM-DD.")
    ]
    upload_expires_at: Annotated[
        Timestamp | None,
        Field(description="When the upload link ends; null for files put into the bucket."),
    ]
    requested_by: Annotated[
        str | None,
        Field(description="Who asked for the upload link; null for files put into the bucket."),
    ]
    completed_at: Annotated[Timestamp | None, Field(description="When its last line was recorded.")]
    version: int
    created_at: Timestamp
    updated_at: Timestamp


class NewSettlementFile(SettlementFileAnswer, frozen=True):
    """A file to upload: PUT its bytes to `upload_url`, with `upload_headers`, once."""

    upload_url: Annotated[str, Field(repr=False, description="Signed for one PUT of the file.")]
    upload_headers: Annotated[
        dict[str, str], Field(description="Headers to send with the PUT; part of the signature.")
    ]
    expires_at: Annotated[Timestamp, Field(description="Of the upload URL.")]


class SettlementFileQuery(PageQuery, frozen=True):
    """Files of one status, or all."""

    status: Annotated[FileStatus | None, Field(description="Only files of this status.")] = None


class SettlementFileList(Page[SettlementFileAnswer], frozen=True):
    """A page of files, newest first."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="createSettlementFile",
        method="POST",
        path="/v1/settlement-files",
        function="process",
        summary="Get a link to upload a settlement file of a processor, or ours",
        tag="settlements",
        permission=Permission.MERCHANT,
        body=SettlementFileRequest,
        idempotent="honoured",
        answers={HTTPStatus.CREATED: NewSettlementFile},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
    Endpoint(
        operation="listSettlementFiles",
        method="GET",
        path="/v1/settlement-files",
        function="query",
        summary="List settlement files, newest first; those put into the bucket are listed too",
        tag="settlements",
        permission=Permission.REPORTS,
        query=SettlementFileQuery,
        answers={HTTPStatus.OK: SettlementFileList},
    ),
    Endpoint(
        operation="getSettlementFile",
        method="GET",
        path="/v1/settlement-files/{id}",
        function="query",
        summary="Read a settlement file: its status, its progress, and its settlements",
        tag="settlements",
        permission=Permission.REPORTS,
        answers={HTTPStatus.OK: SettlementFileAnswer},
        refusals=(HTTPStatus.NOT_FOUND,),
    ),
)
