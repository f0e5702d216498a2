"""S3 with versions and SQS in memory, for settlement files; every call is a step that may crash."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.engines.faults import ProcessKilled
from tests.support.fakes import Clock, client_error

LONGEST_KEY = 1_024
"""Bytes of an object's key (S3 User Guide, "Naming Amazon S3 objects")."""


@dataclass
class Steps:
    """Counts calls, and ends the process at one of them."""

    kill_at: int | None = None
    after: bool = False
    made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, call: Callable[[], Any]) -> Any:
        with self._lock:
            self.made += 1
            dies = self.made == self.kill_at
        if dies and not self.after:
            raise ProcessKilled(f"before step {self.made}")
        result = call()
        if dies:
            raise ProcessKilled(f"after step {self.made}")
        return result


@dataclass
class FakeBucket:
    """S3 with versions: putting a key again creates another version."""

    steps: Steps = field(default_factory=Steps)
    versions: dict[str, list[tuple[str, bytes, Any]]] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    on_read: Callable[[str], None] = lambda key: None
    most_read: int = 0
    _numbers: int = 0

    def put(self, key: str, body: bytes) -> str:
        if len(key.encode()) > LONGEST_KEY:
            raise client_error("KeyTooLongError", "PutObject")
        self._numbers += 1
        version = f"v{self._numbers}"
        self.versions.setdefault(key, []).append((version, body, self.clock()))
        return version

    @property
    def objects(self) -> MutableMapping[str, bytes]:
        """The current version under each key; setting one puts another version."""
        return _Objects(self)

    def current(self, key: str) -> str | None:
        """The current version under a key."""
        found = self.versions.get(key)
        return found[-1][0] if found else None

    def _find(self, key: str, version_id: str | None, operation: str) -> tuple[str, bytes, Any]:
        for found in reversed(self.versions.get(key, [])):
            if version_id in (None, found[0]):
                return found
        raise client_error("404", operation, 404)

    def head_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> Any:
        version, body, at = self.steps(lambda: self._find(Key, VersionId, "HeadObject"))
        return {
            "ETag": _etag(body),
            "VersionId": version,
            "ContentLength": len(body),
            "LastModified": at,
        }

    def get_object(
        self,
        *,
        Bucket: str,
        Key: str,
        IfMatch: str | None = None,
        VersionId: str | None = None,
        Range: str | None = None,
    ) -> Any:
        _, body, _ = self.steps(lambda: self._find(Key, VersionId, "GetObject"))
        if IfMatch is not None and IfMatch != _etag(body):
            raise client_error("PreconditionFailed", "GetObject", 412)
        if Range is not None:
            first, _, last = Range.removeprefix("bytes=").partition("-")
            body = body[int(first) : int(last) + 1 if last else None]
        self.on_read(Key)
        self.most_read = max(self.most_read, len(body))
        partial = {} if Range is None else {"ContentRange": Range}
        return {"Body": io.BytesIO(body), "ETag": _etag(body), **partial}

    def upload_fileobj(self, stream: Any, bucket: str, key: str, Config: Any) -> None:
        body = stream.read()
        self.steps(lambda: self.put(key, body))

    def copy_object(self, *, Bucket: str, Key: str, CopySource: Any, **_: Any) -> Any:
        source = self._find(CopySource["Key"], CopySource.get("VersionId"), "CopyObject")
        self.steps(lambda: self.put(Key, source[1]))

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> Any:
        def delete() -> None:
            found = self.versions.get(Key, [])
            self.versions[Key] = [each for each in found if VersionId not in (None, each[0])]

        self.steps(delete)


class _Objects(MutableMapping[str, bytes]):
    """The newest versions of a bucket, by key."""

    def __init__(self, bucket: FakeBucket) -> None:
        self._bucket = bucket

    def __getitem__(self, key: str) -> bytes:
        return self._bucket.versions[key][-1][1]

    def __setitem__(self, key: str, body: bytes) -> None:
        self._bucket.put(key, body)

    def __delitem__(self, key: str) -> None:
        del self._bucket.versions[key]

    def __iter__(self) -> Iterator[str]:
        return (key for key, found in self._bucket.versions.items() if found)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@dataclass
class FakeQueue:
    """SQS: a message stays until its receiver deletes it.

    `batched`: the entries as sent. `refuse`: how many of the next batch it does not take.
    """

    steps: Steps = field(default_factory=Steps)
    waiting: deque[str] = field(default_factory=deque)
    batched: list[dict[str, Any]] = field(default_factory=list)
    refuse: int = 0
    available: bool = True

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:
        assert 1 <= len(Entries) <= 10, "as many as SQS takes"
        assert all(entry["MessageGroupId"] for entry in Entries)
        if not self.available:
            raise client_error("ServiceUnavailable", "SendMessageBatch", 503)

        def send() -> Any:
            self.batched += Entries
            refused = Entries[: self.refuse]
            self.refuse = 0
            self.waiting.extend(entry["MessageBody"] for entry in Entries[len(refused) :])
            return {"Failed": [{"Id": entry["Id"]} for entry in refused]}

        return self.steps(send)


def object_created(key: str, version_id: str | None) -> str:
    """The event that EventBridge puts into the queue for an object."""
    uploaded = {"key": key, **({} if version_id is None else {"version-id": version_id})}
    return json.dumps({"source": "aws.s3", "detail": {"object": uploaded}})
