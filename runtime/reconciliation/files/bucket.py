"""The settlement bucket: objects are read as streams, by version and by byte range."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, Final

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

READ_BYTES: Final = 256 * 1024
PART_BYTES: Final = 8 * 1024 * 1024
"""Part size of a multipart upload, and so the memory needed to write an object."""
MAX_COPY_BYTES: Final = 5 * 1024**3
"""The largest object that one CopyObject copies (S3 API reference, CopyObject)."""
_ONE_PART_AT_A_TIME: Final = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
)


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """The bytes of one object at one time: `etag` identifies them, and `version_id` if S3 has one.

    A later object under the same key is different.
    """

    key: str
    etag: str
    version_id: str | None = None

    def arguments(self) -> dict[str, str]:
        """Read exactly these bytes, or fail: S3 answers 412 if they were replaced."""
        named = {} if self.version_id is None else {"VersionId": self.version_id}
        return {"Key": self.key, "IfMatch": self.etag, **named}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as found: its version, its size in bytes, and its time."""

    version: ObjectVersion
    size: int
    put_at: datetime


@dataclass(frozen=True)
class SettlementObjects:
    """The objects of the settlement bucket."""

    s3: S3Client
    bucket: str

    def find(self, key: str, version_id: str | None = None) -> StoredObject | None:
        """The object, or one version of it; None if it no longer exists."""
        named: Any = {} if version_id is None else {"VersionId": version_id}
        try:
            answer = self.s3.head_object(Bucket=self.bucket, Key=key, **named)
        except ClientError as error:
            if _status_of(error) in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                return None  # 405 for a delete marker (S3 API reference, HeadObject)
            raise
        found = ObjectVersion(key, answer["ETag"], _version_of(answer, version_id))
        return StoredObject(found, answer["ContentLength"], answer["LastModified"])

    def blocks(
        self, version: ObjectVersion, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """Bytes from `start` up to `end`, or to the last one.

        Raises ClientError, for example PreconditionFailed if the object was replaced.
        """
        if start == end:
            return
        arguments: Any = version.arguments()
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        answer = self.s3.get_object(Bucket=self.bucket, **arguments)
        blocks = _blocks(answer["Body"])
        if "Range" in arguments and not answer.get("ContentRange"):
            # A server may answer a range with the whole object (RFC 9110 section 14.2).
            blocks = _cut(blocks, start, end)
        yield from blocks

    def write(self, key: str, blocks: Iterable[bytes]) -> ObjectVersion:
        """Put an object while its bytes are generated, a part at a time."""
        # s3transfer handles multipart uploads of unknown length (boto3's upload_fileobj).
        stream = BufferedReader(_Stream(blocks), READ_BYTES)
        self.s3.upload_fileobj(stream, self.bucket, key, Config=_ONE_PART_AT_A_TIME)
        found = self.find(key)
        assert found is not None, f"{key} was put and is not there"
        return found.version

    def copy(self, stored: StoredObject, key: str) -> bool:
        """Copy the object to `key`; False if it is too large for that."""
        if stored.size > MAX_COPY_BYTES:
            return False
        source = stored.version
        named: Any = {} if source.version_id is None else {"VersionId": source.version_id}
        copied: Any = {"Bucket": self.bucket, "Key": source.key, **named}
        self.s3.copy_object(
            Bucket=self.bucket,
            Key=key,
            CopySource=copied,
            CopySourceIfMatch=source.etag,
            TaggingDirective="REPLACE",  # copying tags would need permission to read them
        )
        return True

    def delete(self, version: ObjectVersion) -> None:
        """Delete this version. A newer object under its key stays."""
        named: Any = {} if version.version_id is None else {"VersionId": version.version_id}
        self.s3.delete_object(Bucket=self.bucket, Key=version.key, **named)


class _Stream(RawIOBase):
    """Blocks of bytes as a file that is read once, from start to end."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the buffer with the next bytes; 0 at the end."""
        target = memoryview(buffer).cast("B")
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = block
        count = min(len(target), len(self._rest))
        target[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _blocks(body: StreamingBody) -> Iterator[bytes]:
    return iter(lambda: body.read(READ_BYTES), b"")


def _cut(blocks: Iterable[bytes], start: int, end: int | None) -> Iterator[bytes]:
    """The requested part of a whole object."""
    at = 0
    for block in blocks:
        if end is not None and at >= end:
            return
        part = block[max(start - at, 0) : None if end is None else end - at]
        at += len(block)
        if part:
            yield part


def _version_of(answer: Any, asked: str | None) -> str | None:
    """In an unversioned bucket S3 gives no version, or "null"."""
    version: str | None = answer.get("VersionId", asked)
    return None if version == "null" else version


def _status_of(error: ClientError) -> int:
    status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status
