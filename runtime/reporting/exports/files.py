"""Objects of exports in S3: written in parts, so that no worker holds a whole file.

An export's objects are under `exports/<owner>/<export id>/`. What a worker leaves for the next one
(the tail of its text, its list of accounts) is named by the version of the job that refers to it:
no two workers write the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from runtime.reporting.exports.models import ExportFormat, ExportPart

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READ_BYTES: Final = 1024 * 1024
CONTENT_TYPES: Final = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSONL: "application/jsonl",
    ExportFormat.BEANCOUNT: "text/plain; charset=utf-8",
}
_EXISTS: Final = "PreconditionFailed"
_NO_UPLOAD: Final = "NoSuchUpload"


@dataclass(frozen=True)
class ExportFiles:
    """The bucket of exports."""

    s3: S3Client
    bucket: str

    def begin(self, key: str, format_: ExportFormat) -> str:
        """The id of a new upload. The bucket's lifecycle deletes it if it is never completed."""
        answer = self.s3.create_multipart_upload(
            Bucket=self.bucket, Key=key, ContentType=CONTENT_TYPES[format_]
        )
        return answer["UploadId"]

    def upload(self, key: str, upload_id: str, number: int, data: bytes) -> ExportPart:
        """One part: at least 5 MiB, unless it is the last one (S3 User Guide, multipart limits)."""
        answer = self.s3.upload_part(
            Bucket=self.bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
        )
        return ExportPart(number=number, etag=answer["ETag"])

    def complete(self, key: str, upload_id: str, parts: Sequence[ExportPart]) -> None:
        """Complete the upload; a repetition changes nothing.

        A missing upload was completed, or has expired: reading the object shows which.
        """
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            self.s3.complete_multipart_upload(
                Bucket=self.bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},  # type: ignore[typeddict-item]
            )
        except ClientError as error:
            if _code(error) != _NO_UPLOAD:
                raise

    def put_empty(self, key: str, format_: ExportFormat) -> None:
        """An empty object: an upload has at least one part. A repetition changes nothing."""
        try:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=b"",
                ContentType=CONTENT_TYPES[format_],
                IfNoneMatch="*",
            )
        except ClientError as error:
            if _code(error) != _EXISTS:
                raise

    def size(self, key: str) -> int:
        """Bytes of an object."""
        return self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"]

    def sha256(self, key: str) -> str:
        """The digest (hex) of a stored object, read as a stream."""
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
        digest = hashlib.sha256()
        while block := body.read(READ_BYTES):
            digest.update(block)
        return digest.hexdigest()

    def leave(self, key: str, data: bytes) -> None:
        """Write what the next worker continues with."""
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=data)

    def left(self, key: str) -> bytes:
        """What the previous worker left."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
