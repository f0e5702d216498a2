"""S3 as it stores: versioned objects, conditional writes, multipart uploads, object lock."""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from random import Random
from typing import Any, Final

from simulation.aws.buckets import Bucket, Version
from simulation.faults import client_error

PAGE: Final = 1000
"""Keys of one page of a list (S3 API reference, ListObjectsV2)."""
MIN_PART_BYTES: Final = 5 * 1024**2
"""Of every part of an upload but the last (S3 User Guide, "multipart upload limits")."""


@dataclass
class _Upload:
    bucket: str
    key: str
    content_type: str
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


Created = Callable[[str, str, Version, str], None]
"""Bucket, key, version, and the reason: PutObject, CopyObject, CompleteMultipartUpload."""


class ObjectStore:
    """What is at S3. Its operations take what botocore takes, and only what the platform sends."""

    def __init__(self, seed: str, now: Callable[[], datetime]) -> None:
        self._chance, self._clock = Random(f"{seed}-s3"), now
        self.buckets: dict[str, Bucket] = {}
        self._uploads: dict[str, _Upload] = {}
        self.on_created: list[Created] = []

    def create(self, name: str, *, locked: bool = False) -> Bucket:
        """A bucket that keeps versions, as every one of the platform does."""
        bucket = self.buckets[name] = Bucket(name, locked)
        return bucket

    # ------------------------------------------------------------ writing

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: bytes,
        ContentType: str = "binary/octet-stream",
        IfNoneMatch: str | None = None,
        ChecksumSHA256: str | None = None,
    ) -> dict[str, Any]:
        """A new version; with `IfNoneMatch="*"` only if the object does not exist."""
        bucket = self._bucket(Bucket, "PutObject")
        checksum = base64.b64encode(hashlib.sha256(Body).digest()).decode()
        if ChecksumSHA256 is not None and checksum != ChecksumSHA256:
            raise client_error("BadDigest", "PutObject")
        if bucket.locked and ChecksumSHA256 is None:
            raise client_error("InvalidRequest", "PutObject", "Content-MD5 or x-amz-checksum-")
        assert IfNoneMatch in (None, "*"), f"S3 takes no other condition than *: {IfNoneMatch}"
        if IfNoneMatch and bucket.current(Key) is not None:
            raise client_error("PreconditionFailed", "PutObject", status=412)
        version = self._write(bucket, Key, Body, _etag(Body), ContentType, "PutObject")
        return {"ETag": version.etag, "VersionId": version.id, "ChecksumSHA256": checksum}

    def copy_object(
        self,
        *,
        Bucket: str,
        Key: str,
        CopySource: Mapping[str, str],
        CopySourceIfMatch: str,
        TaggingDirective: str,
    ) -> dict[str, Any]:
        """A new version with the bytes of another object, if it still is that one."""
        assert TaggingDirective == "REPLACE", "tags are not kept here"
        source = self._found(
            CopySource["Bucket"], CopySource["Key"], CopySource.get("VersionId"), "CopyObject"
        )
        if source.etag != CopySourceIfMatch:
            raise client_error("PreconditionFailed", "CopyObject", status=412)
        assert source.body is not None
        bucket = self._bucket(Bucket, "CopyObject")
        made = self._write(bucket, Key, source.body, source.etag, source.content_type, "CopyObject")
        return {"CopyObjectResult": {"ETag": made.etag}, "VersionId": made.id}

    def delete_object(
        self, *, Bucket: str, Key: str, VersionId: str | None = None
    ) -> dict[str, Any]:
        """Delete one version for good; without one, hide the object behind a marker."""
        bucket = self._bucket(Bucket, "DeleteObject")
        if VersionId is None:
            marker = Version(self._id(), None, "", "", self._now())
            bucket.objects.setdefault(Key, []).append(marker)
            return {"DeleteMarker": True, "VersionId": marker.id}
        if bucket.locked:
            raise client_error("AccessDenied", "DeleteObject", "object lock", status=403)
        left = [each for each in bucket.objects.get(Key, []) if each.id != VersionId]
        if left:
            bucket.objects[Key] = left
        else:
            bucket.objects.pop(Key, None)
        return {"VersionId": VersionId}

    def create_multipart_upload(
        self, *, Bucket: str, Key: str, ContentType: str = "binary/octet-stream"
    ) -> dict[str, Any]:
        """The id of a new upload."""
        self._bucket(Bucket, "CreateMultipartUpload")
        upload_id = self._id()
        self._uploads[upload_id] = _Upload(Bucket, Key, ContentType)
        return {"Bucket": Bucket, "Key": Key, "UploadId": upload_id}

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes
    ) -> dict[str, Any]:
        """Write a part, or replace the one of that number."""
        upload = self._upload(UploadId, Bucket, Key, "UploadPart")
        upload.parts[PartNumber] = (_etag(Body), Body)
        return {"ETag": upload.parts[PartNumber][0]}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: Mapping[str, Any]
    ) -> dict[str, Any]:
        """One object of the parts, in their order. The upload is gone then."""
        operation = "CompleteMultipartUpload"
        upload = self._upload(UploadId, Bucket, Key, operation)
        listed: Sequence[Mapping[str, Any]] = MultipartUpload["Parts"]
        numbers = [part["PartNumber"] for part in listed]
        if not numbers or numbers != sorted(set(numbers)):
            raise client_error("InvalidPartOrder", operation)
        bodies = []
        for part in listed:
            etag, body = upload.parts.get(part["PartNumber"], ("", b""))
            if etag != part["ETag"]:
                raise client_error("InvalidPart", operation, f"part {part['PartNumber']}")
            bodies.append(body)
        if any(len(body) < MIN_PART_BYTES for body in bodies[:-1]):
            raise client_error("EntityTooSmall", operation)
        del self._uploads[UploadId]
        digests = b"".join(_digest(body) for body in bodies)
        etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(bodies)}"'
        bucket, whole = self._bucket(Bucket, operation), b"".join(bodies)
        version = self._write(bucket, Key, whole, etag, upload.content_type, operation)
        return {"ETag": version.etag, "VersionId": version.id}

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:
        """Forget an upload."""
        self._upload(UploadId, Bucket, Key, "AbortMultipartUpload")
        del self._uploads[UploadId]
        return {}

    # ------------------------------------------------------------ reading

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> dict[str, Any]:
        """What is known of an object. Its errors have no body, so their status is their code."""
        found = self._found(Bucket, Key, VersionId, "HeadObject")
        return _described(found)

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        VersionId: str | None = None,
        IfMatch: str | None = None,
        Range: str | None = None,
    ) -> dict[str, Any]:
        """An object, or a range of its bytes."""
        found = self._found(Bucket, Key, VersionId, "GetObject")
        if IfMatch is not None and IfMatch != found.etag:
            raise client_error("PreconditionFailed", "GetObject", status=412)
        assert found.body is not None
        body, answer = found.body, _described(found)
        if Range is not None:
            first, _, last = Range.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body)), len(body) - 1)
            if start >= len(body):
                raise client_error("InvalidRange", "GetObject", status=416)
            answer["ContentRange"] = f"bytes {start}-{end}/{len(body)}"
            body = body[start : end + 1]
            answer["ContentLength"] = len(body)
        return {**answer, "Body": BytesIO(body)}

    def list_objects_v2(
        self, *, Bucket: str, Prefix: str = "", StartAfter: str = ""
    ) -> dict[str, Any]:
        """Keys in their order, one page of them."""
        bucket = self._bucket(Bucket, "ListObjectsV2")
        keys = sorted(key for key in bucket.objects if key.startswith(Prefix))
        at = bisect_right(keys, StartAfter)
        seen = [(key, bucket.current(key)) for key in keys[at:]]
        there = [(key, version) for key, version in seen if version is not None]
        contents = [
            {"Key": key, "ETag": each.etag, "Size": len(each.body or b""), "LastModified": each.at}
            for key, each in there[:PAGE]
        ]
        answer: dict[str, Any] = {"KeyCount": len(contents), "IsTruncated": len(there) > PAGE}
        return {**answer, "Contents": contents} if contents else answer

    def list_object_versions(
        self, *, Bucket: str, Prefix: str = "", KeyMarker: str = ""
    ) -> dict[str, Any]:
        """Versions and markers by key, the newest first; a page ends between two keys."""
        bucket = self._bucket(Bucket, "ListObjectVersions")
        keys = sorted(key for key in bucket.objects if key.startswith(Prefix))
        at = bisect_right(keys, KeyMarker)
        page = keys[at : at + PAGE]
        versions: list[dict[str, Any]] = []
        markers: list[dict[str, Any]] = []
        for key in page:
            for number, each in enumerate(reversed(bucket.objects[key])):
                listed = {
                    "Key": key,
                    "VersionId": each.id,
                    "LastModified": each.at,
                    "IsLatest": number == 0,
                }
                (markers if each.body is None else versions).append(listed)
        answer: dict[str, Any] = {"IsTruncated": at + PAGE < len(keys)}
        if answer["IsTruncated"]:
            answer["NextKeyMarker"] = page[-1]
        return answer | {
            name: listed
            for name, listed in (("Versions", versions), ("DeleteMarkers", markers))
            if listed
        }

    # ------------------------------------------------------------ the rest

    def _write(
        self, bucket: Bucket, key: str, body: bytes, etag: str, content_type: str, reason: str
    ) -> Version:
        version = Version(self._id(), bytes(body), etag, content_type, self._now())
        bucket.objects.setdefault(key, []).append(version)
        for listener in self.on_created:
            listener(bucket.name, key, version, reason)
        return version

    def _found(self, bucket: str, key: str, version_id: str | None, operation: str) -> Version:
        """Raises what S3 answers for a missing version, or a delete marker."""
        head = operation == "HeadObject"
        versions = self._bucket(bucket, operation).objects.get(key, [])
        if version_id is None:
            version = versions[-1] if versions else None
        else:
            version = next((each for each in versions if each.id == version_id), None)
            if version is not None and version.body is None:
                code = "405" if head else "MethodNotAllowed"
                raise client_error(code, operation, status=405)
        if version is None or version.body is None:
            missing = "NoSuchKey" if version_id is None else "NoSuchVersion"
            raise client_error("404" if head else missing, operation, status=404)
        return version

    def _bucket(self, name: str, operation: str) -> Bucket:
        if name not in self.buckets:
            raise client_error("NoSuchBucket", operation, name, status=404)
        return self.buckets[name]

    def _upload(self, upload_id: str, bucket: str, key: str, operation: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise client_error("NoSuchUpload", operation, status=404)
        return upload

    def _now(self) -> datetime:
        """To the second, as S3 tells times."""
        return self._clock().replace(microsecond=0)

    def _id(self) -> str:
        return f"{self._chance.getrandbits(128):032x}"


def _described(version: Version) -> dict[str, Any]:
    return {
        "ETag": version.etag,
        "VersionId": version.id,
        "ContentLength": len(version.body or b""),
        "ContentType": version.content_type,
        "LastModified": version.at,
    }


def _digest(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _etag(body: bytes) -> str:
    return f'"{_digest(body).hex()}"'
