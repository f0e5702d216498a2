"""Settlement files in S3: read as a stream, with bounded lines; nothing holds a file in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NotRequired, TypedDict

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

READ_BYTES = 1024 * 1024
MAX_LINE_BYTES = 4_096
"""A settlement line is some two hundred bytes; one that never ends must not fill the memory."""


class GetArguments(TypedDict):
    """What names an object to GetObject."""

    Key: str
    VersionId: NotRequired[str]


@dataclass(frozen=True, slots=True)
class FileVersion:
    """One object of the bucket, and which of its versions: a later upload is another file."""

    key: str
    version_id: str | None = None

    def arguments(self) -> GetArguments:
        """How GetObject is asked for it."""
        if self.version_id is None:
            return {"Key": self.key}
        return {"Key": self.key, "VersionId": self.version_id}


@dataclass(frozen=True, slots=True)
class FileDigest:
    """SHA-256 of an object's bytes (hex), and the entity tag that names these bytes to S3."""

    sha256: str
    etag: str


@dataclass(frozen=True)
class SettlementFiles:
    """The settlement bucket, and the queue through which a long file asks to be continued."""

    s3: S3Client
    sqs: SQSClient
    bucket: str
    queue_url: str

    def digest(self, file: FileVersion) -> FileDigest:
        """Fingerprints of the file."""
        answer = self.s3.get_object(Bucket=self.bucket, **file.arguments())
        digest = hashlib.sha256()
        for chunk in _chunks(answer["Body"]):
            digest.update(chunk)
        return FileDigest(digest.hexdigest(), answer["ETag"])

    def lines(self, file: FileVersion, digest: FileDigest) -> Iterator[str | None]:
        """The file's lines without their ends; None for one that is longer than MAX_LINE_BYTES.

        Raises ClientError (PreconditionFailed) when the object was replaced since `digest`.
        """
        answer = self.s3.get_object(Bucket=self.bucket, IfMatch=digest.etag, **file.arguments())
        return split_lines(_chunks(answer["Body"]))

    def ask_to_continue(self, message: str) -> None:
        """Queue another run over the same file."""
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=message)


def split_lines(chunks: Iterable[bytes]) -> Iterator[str | None]:
    """Lines of a UTF-8 stream (a byte order mark is dropped, bad bytes become U+FFFD).

    A line above MAX_LINE_BYTES is given as None; no more of it than that is ever held.
    """
    held, too_long, first = b"", False, True
    for chunk in chunks:
        *complete, tail = chunk.split(b"\n")
        for piece in complete:
            line = held + piece
            yield None if too_long or len(line) > MAX_LINE_BYTES else _text(line, first)
            held, too_long, first = b"", False, False
        held += tail
        if len(held) > MAX_LINE_BYTES:
            held, too_long = b"", True
    if held or too_long:
        yield None if too_long else _text(held, first)


def _text(line: bytes, first: bool) -> str:
    text = line.rstrip(b"\r").decode("utf-8", "replace")
    return text.removeprefix("\ufeff") if first else text


def _chunks(body: StreamingBody) -> Iterator[bytes]:
    return iter(lambda: body.read(READ_BYTES), b"")
