"""Exports in a test world: requested, written by workers that may die, and read back."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from runtime.core.scope import UNRESTRICTED
from runtime.customers.repository import CustomerRepository
from runtime.dynamodb.store import Store
from runtime.idempotency.repository import ClaimRepository
from runtime.ledger.accounts.repository import AccountRepository
from runtime.merchants.models import MerchantProfile
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.payments.repository import PaymentRepository
from runtime.reporting.exports.api import ExportRequest
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.jobs import Jobs
from runtime.reporting.exports.models import Export, ExportStatus
from runtime.reporting.exports.repository import ExportRepository
from runtime.reporting.exports.requests import ExportRequests, create_export
from runtime.reporting.exports.sources.reads import ExportReads
from runtime.reporting.exports.writing import ExportDependencies, Turn, write_export
from tests.support.fakes import client_error
from tests.support.platform import Platform

LIFE_SECONDS = 300.0


@dataclass
class FakeUploads:
    """S3's objects and multipart uploads in memory; `around` is called around each call."""

    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, tuple[str, bytes]]] = field(default_factory=dict)
    around: Callable[[str, bool], None] = lambda operation, done: None

    def create_multipart_upload(self, *, Bucket: str, Key: str, ContentType: str) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            upload_id = f"upload-{len(self.uploads)}"
            self.uploads[upload_id] = {}
            return {"UploadId": upload_id}

        return self._call("CreateMultipartUpload", do)

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes
    ) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            if UploadId not in self.uploads:
                raise client_error("NoSuchUpload", "UploadPart", 404)
            etag = hashlib.md5(Body, usedforsecurity=False).hexdigest()
            self.uploads[UploadId][PartNumber] = (etag, Body)
            return {"ETag": etag}

        return self._call("UploadPart", do)

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any]
    ) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            if UploadId not in self.uploads:
                raise client_error("NoSuchUpload", "CompleteMultipartUpload", 404)
            listed = [(each["PartNumber"], each["ETag"]) for each in MultipartUpload["Parts"]]
            assert listed == sorted(listed), "S3 takes parts only in order"
            there = self.uploads[UploadId]
            if any(there.get(number, ("",))[0] != etag for number, etag in listed):
                raise client_error("InvalidPart", "CompleteMultipartUpload")
            self.objects[Key] = b"".join(there[number][1] for number, _ in listed)
            del self.uploads[UploadId]
            return {}

        return self._call("CompleteMultipartUpload", do)

    def put_object(
        self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "", IfNoneMatch: str = ""
    ) -> dict[str, Any]:
        def do() -> dict[str, Any]:
            if IfNoneMatch and Key in self.objects:
                raise client_error("PreconditionFailed", "PutObject", 412)
            self.objects[Key] = Body
            return {}

        return self._call("PutObject", do)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return self._call("HeadObject", lambda: {"ContentLength": len(self._there(Key))})

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        return self._call("GetObject", lambda: {"Body": io.BytesIO(self._there(Key))})

    def _there(self, key: str) -> bytes:
        if key not in self.objects:
            raise client_error("AccessDenied", "HeadObject", 403)
        return self.objects[key]

    def _call(self, operation: str, do: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self.around(operation, False)
        answer = do()
        self.around(operation, True)
        return answer


@dataclass
class Exporting:
    """One platform's exports."""

    platform: Platform
    s3: FakeUploads = field(default_factory=FakeUploads)
    part_bytes: int = 5 * 1024 * 1024
    settle: timedelta = timedelta(0)
    _workers: Any = field(default_factory=lambda: itertools.count(1))

    def ask(
        self,
        merchant: MerchantProfile | None,
        *,
        key: str | None = None,
        acting_for: str | None = None,
        **body: Any,
    ) -> str:
        """Id of a new export; an operator's if no merchant is given."""
        store = self.platform.store
        dependencies = ExportRequests(
            ExportRepository(store),
            MerchantProfiles(MerchantRepository(store), 0, store.outside),
            CustomerRepository(store),
            AccountRepository(store),
            PaymentRepository(store),
            ClaimRepository(store),
        )
        call = self.platform.call(
            merchant,
            body,
            key,
            path="/v1/exports",
            operator=merchant is None,
            acting_for=acting_for,
        )
        answer = create_export(
            ExportRequest.model_validate_json(json.dumps(body)), call, dependencies
        )
        assert answer.status == 202, answer
        return str(json.loads(answer.body)["id"])

    def reads(self, store: Store | None = None) -> ExportReads:
        merchants = self.platform.profiles()
        lease = timedelta(seconds=self.platform.timing.intent_lease_seconds)
        return ExportReads.on(store or self.platform.store, merchants, lease)

    def turn(
        self,
        export_id: str,
        *,
        store: Store | None = None,
        s3: FakeUploads | None = None,
        remaining_seconds: Callable[[], float] = lambda: LIFE_SECONDS,
    ) -> Turn:
        """One worker's turn."""
        store = store or self.platform.store
        dependencies = ExportDependencies(
            jobs=Jobs(ExportRepository(store), self.platform.outside, remaining_seconds),
            files=ExportFiles(s3 or self.s3, "exports"),  # type: ignore[arg-type]
            reads=self.reads(store),
            margin_seconds=30,
            settle=self.settle,
            part_bytes=self.part_bytes,
        )
        return write_export(export_id, f"worker-{next(self._workers)}", dependencies)

    def done(self, export_id: str) -> Export:
        """The export, written by workers that do not die."""
        for _ in range(200):
            turn = self.turn(export_id)
            if turn.next_in_seconds is None:
                export = self.row(export_id)
                assert export.status is ExportStatus.COMPLETED, export.failure_reason
                return export
            self.platform.clock.advance(turn.next_in_seconds)
        raise AssertionError("the export does not end")

    def row(self, export_id: str) -> Export:
        export = ExportRepository(self.platform.store).get(export_id, UNRESTRICTED)
        assert export is not None
        return export

    def file(self, export: Export) -> bytes:
        """The object, which must match its row."""
        content = self.s3.objects[export.object_key or ""]
        assert export.size == len(content)
        assert export.sha256 == hashlib.sha256(content).hexdigest()
        return content

    def made(self, merchant: MerchantProfile | None, **body: Any) -> list[dict[str, Any]]:
        """The rows of an export as JSON Lines."""
        export = self.done(self.ask(merchant, format="jsonl", **body))
        rows = [json.loads(line) for line in self.file(export).splitlines()]
        assert len(rows) == export.rows
        return rows


def table_of(content: bytes) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Columns and rows of a CSV file."""
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
    rows = list(reader)
    return reader.fieldnames or (), rows
