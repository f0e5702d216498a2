"""The bucket of the audit archive. Object Lock: objects can be added but not changed or deleted."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from runtime.audit.archive.rules import RootStatement, SignedRoot, root_name, root_number
from runtime.audit.models import ROOTS_PREFIX

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

JSON_LINES: Final = "application/jsonl"
_ALREADY_THERE: Final = "PreconditionFailed"
"""412 of a conditional put when the object exists. (409, ConditionalRequestConflict, means that a
concurrent put is in progress and may still fail: S3 User Guide, "Conditional writes".)"""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One version of an object, or a delete marker."""

    key: str
    version_id: str
    written_at: datetime
    is_marker: bool


class AuditArchive:
    """Segments and roots in the bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def add_segment(self, name: str, body: bytes) -> bool:
        """Write a segment. Returns False if it exists; its name determines its content."""
        return self._add(name, body, JSON_LINES)

    def add_root(self, root: SignedRoot) -> bool:
        """Write a root. Returns False if its number is taken."""
        name = root_name(root.statement.number)
        return self._add(name, root.model_dump_json().encode(), "application/json")

    def names(
        self, prefix: str, after: str = "", written_from: datetime | None = None
    ) -> Iterator[str]:
        """Keys that begin with `prefix`, sorted, after `after` only.

        `written_from` leaves out objects that were written before it, to the second.
        """
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=after
        )
        for page in pages:
            for item in page.get("Contents", []):
                if written_from is None or item["LastModified"] >= written_from:
                    yield item["Key"]

    def root_names(self) -> list[str]:
        """Keys of all roots, by number."""
        return [name for name in self.names(ROOTS_PREFIX) if root_number(name) is not None]

    def root(self, name: str) -> SignedRoot:
        """Read a root. Raises ValidationError if the object is not a root."""
        return SignedRoot.model_validate_json(self.content(name))

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Every version under `prefix`, by key, newest first; delete markers included."""
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        for page in pages:
            found = [
                ObjectVersion(item["Key"], item["VersionId"], item["LastModified"], False)
                for item in page.get("Versions", [])
            ]
            found += [
                ObjectVersion(item["Key"], item["VersionId"], item["LastModified"], True)
                for item in page.get("DeleteMarkers", [])
            ]
            yield from sorted(found, key=lambda version: version.key)

    def content(self, name: str, version_id: str | None = None) -> bytes:
        """The bytes of an object, or of one of its versions."""
        if version_id is None:
            answer = self._s3.get_object(Bucket=self._bucket, Key=name)
        else:
            answer = self._s3.get_object(Bucket=self._bucket, Key=name, VersionId=version_id)
        return answer["Body"].read()

    def _add(self, name: str, body: bytes, content_type: str) -> bool:
        # S3 requires a checksum for a put into a bucket with Object Lock.
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=body,
                ContentType=content_type,
                ChecksumSHA256=checksum,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != _ALREADY_THERE:
                raise
            return False
        return True


class RootSigner:
    """The KMS key that signs roots."""

    def __init__(self, kms: KMSClient, key_arn: str) -> None:
        self._kms, self.key_arn = kms, key_arn

    def sign(self, statement: RootStatement) -> str:
        """The signature of a statement, in the format of SignedRoot."""
        answer = self._kms.sign(
            KeyId=self.key_arn,
            Message=statement.signed_bytes(),
            MessageType="RAW",
            SigningAlgorithm="ECDSA_SHA_256",
        )
        return base64.b64encode(answer["Signature"]).decode()
