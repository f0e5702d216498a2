"""One worker of an export, in a process of its own, so that its memory can be measured.

`python -m benchmarks.batches.export_worker FILE.json`: a `Job`; leaves a `Done` in FILE.done.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import IO, Any, Final

from pydantic import BaseModel

from benchmarks.batches.lean import CountedClient, lean_client
from benchmarks.bill.meter import Traffic
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.reporting.exports.files import ExportFiles
from runtime.reporting.exports.jobs import Jobs
from runtime.reporting.exports.repository import ExportRepository
from runtime.reporting.exports.sources.reads import ExportReads
from runtime.reporting.exports.writing import ExportDependencies, write_export

INVOCATION_SECONDS: Final = 300.0
MARGIN_SECONDS: Final = 30.0


class Job(BaseModel, frozen=True):
    """The arguments of a worker: engine, tables, export and the folder of its objects."""

    endpoint_url: str
    tables: dict[str, str]
    export_id: str
    directory: Path


class Done(BaseModel, frozen=True):
    """The result. `before_kb` and `peak_kb` are resident memory, before the work and at most."""

    seconds: float
    turns: int
    round_trips: int
    before_kb: int
    peak_kb: int


@dataclass
class DiskUploads:
    """S3 on a disk: what a worker writes is not in its own memory."""

    directory: Path
    _etags: dict[int, str] = field(default_factory=dict)

    def create_multipart_upload(self, **_: Any) -> dict[str, Any]:
        return {"UploadId": "upload"}

    def upload_part(self, *, PartNumber: int, Body: bytes, **_: Any) -> dict[str, Any]:
        etag = hashlib.sha256(Body).hexdigest()
        self._part(PartNumber).write_bytes(Body)
        return {"ETag": etag}

    def complete_multipart_upload(
        self,
        *,
        Key: str,
        MultipartUpload: Any,
        **_: Any,
    ) -> dict[str, Any]:
        with self._object(Key).open("wb") as whole:
            for part in MultipartUpload["Parts"]:
                whole.write(self._part(part["PartNumber"]).read_bytes())
        return {}

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        self._object(Key).write_bytes(Body)
        return {}

    def head_object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        return {"ContentLength": self._object(Key).stat().st_size}

    def get_object(self, *, Key: str, **_: Any) -> dict[str, IO[bytes]]:
        return {"Body": io.BufferedReader(self._object(Key).open("rb", buffering=0))}

    def _object(self, key: str) -> Path:
        return self.directory / key.replace("/", "_")

    def _part(self, number: int) -> Path:
        return self.directory / f"part-{number}"


def export_reads(store: Store) -> ExportReads:
    """All dependencies of exports, on a store."""
    merchants = MerchantProfiles(MerchantRepository(store), 60, store.outside)
    return ExportReads.on(store, merchants, timedelta(minutes=1))


def work(job: Job) -> Done:
    """Write the export completely, in as many turns as invocations would take."""
    traffic = Traffic()
    client: Any = CountedClient(lean_client(job.endpoint_url), traffic)
    began = ends = time.monotonic()

    def remaining() -> float:
        return ends - time.monotonic()

    outside = replace(real_outside(), chance=Random(0))
    store = Store(client, job.tables, Codec(NoCipher()), remaining, outside)
    dependencies = ExportDependencies(
        jobs=Jobs(ExportRepository(store), outside, remaining),
        files=ExportFiles(DiskUploads(job.directory), "exports"),  # type: ignore[arg-type]
        reads=export_reads(store),
        margin_seconds=MARGIN_SECONDS,
        settle=timedelta(0),
    )
    before, turns = _peak_kb(), 0
    next_turn: int | None = 0
    while next_turn is not None:
        ends, turns = time.monotonic() + INVOCATION_SECONDS, turns + 1
        next_turn = write_export(job.export_id, f"worker-{turns}", dependencies).next_in_seconds
    return Done(
        seconds=time.monotonic() - began,
        turns=turns,
        round_trips=traffic.round_trips,
        before_kb=before,
        peak_kb=_peak_kb(),
    )


def _peak_kb() -> int:
    """The most resident memory that this process has had so far.

    Not getrusage's: that is inherited from the process which started this one (Linux, execve).
    """
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    done = work(Job.model_validate_json(Path(sys.argv[1]).read_text()))
    Path(sys.argv[1]).with_suffix(".done").write_text(done.model_dump_json())
