"""One worker of settlement files in a separate process, as in Lambda: its time and memory.

Reads an Order as JSON from its standard input, and answers with a Report on its standard output.
"""

from __future__ import annotations

import hashlib
import io
import os
import resource
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from benchmarks.batches.lean import CountedClient, lean_client
from benchmarks.bill.meter import Traffic
from runtime.alerts.repository import AlertRepository
from runtime.core.observability import logger
from runtime.dynamodb.codec import Codec, NoCipher
from runtime.dynamodb.store import Store
from runtime.functions.composition.real_outside import real_outside
from runtime.merchants.profiles import MerchantProfiles
from runtime.merchants.repository import MerchantRepository
from runtime.reconciliation.dependencies import ReconciliationDependencies
from runtime.reconciliation.files.bucket import SettlementObjects
from runtime.reconciliation.files.chunks_repository import SettlementChunkRepository
from runtime.reconciliation.files.queue import SettlementQueue
from runtime.reconciliation.matching.batch import BatchDependencies, record_batch
from runtime.reconciliation.messages import handle_message

_INVOCATION_SECONDS: Final = 3_600.0
_KILOBYTES_PER_MEGABYTE: Final = 1_024
PUT_AT: Final = datetime(2026, 3, 15, tzinfo=UTC)


class Order(BaseModel, frozen=True):
    """Messages to handle, one after the other, on the tables of an engine; `path`: the file."""

    endpoint_url: str
    tables: dict[str, str]
    path: str
    messages: tuple[str, ...]


class Report(BaseModel, frozen=True):
    """The result of handling them. `peak_mb`: resident memory of the whole process."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    calls: int
    conflicts: int
    sent: tuple[str, ...]


@dataclass
class DiskBucket:
    """S3 in a local file: only what is read is in memory."""

    path: Path

    def _entity_tag(self) -> str:
        digest = hashlib.md5(str(self.path.stat().st_size).encode(), usedforsecurity=False)
        return f'"{digest.hexdigest()}"'

    def head_object(self, **_: Any) -> dict[str, Any]:
        """The one object."""
        size = self.path.stat().st_size
        return {"ETag": self._entity_tag(), "ContentLength": size, "LastModified": PUT_AT}

    def get_object(self, *, Range: str | None = None, **_: Any) -> dict[str, Any]:
        """The object, or a range of it."""
        stream = self.path.open("rb")
        if Range is None:
            return {"Body": stream}
        first, last = Range.removeprefix("bytes=").split("-")
        with stream:
            stream.seek(int(first))
            body = stream.read(int(last) - int(first) + 1 if last else -1)
        return {"Body": io.BytesIO(body), "ContentRange": Range}


@dataclass
class MemoryQueue:
    """SQS that stores the sent messages."""

    sent: list[str] = field(default_factory=list)

    def send_message_batch(self, *, Entries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        """Store the messages' bodies."""
        self.sent += [entry["MessageBody"] for entry in Entries]
        return {}


def dependencies_on(store: Store, path: Path, queue: MemoryQueue) -> ReconciliationDependencies:
    """Dependencies of reconciliation, on a local file."""
    bucket: Any = DiskBucket(path)
    sqs: Any = queue
    return ReconciliationDependencies(
        objects=SettlementObjects(bucket, "settlements"),
        queue=SettlementQueue(sqs, "queue"),
        chunks=SettlementChunkRepository(store),
        merchants=MerchantProfiles(MerchantRepository(store), 0, store.outside),
        alerts=AlertRepository(store),
        record=partial(record_batch, dependencies=BatchDependencies(store, store.outside)),
        must_stop=lambda: False,
        outside=store.outside,
    )


def work(order: Order) -> Report:
    """Handle the messages."""
    traffic = Traffic()
    client: Any = CountedClient(lean_client(order.endpoint_url), traffic)
    codec, outside = Codec(NoCipher()), real_outside()
    store = Store(client, order.tables, codec, lambda: _INVOCATION_SECONDS, outside)
    queue = MemoryQueue()
    dependencies = dependencies_on(store, Path(order.path), queue)
    began, cpu = time.monotonic(), time.process_time()
    for message in order.messages:
        handle_message(message, "bench", dependencies)
    return Report(
        seconds=time.monotonic() - began,
        cpu_seconds=time.process_time() - cpu,
        peak_mb=_peak_kilobytes() / _KILOBYTES_PER_MEGABYTE,
        calls=traffic.round_trips,
        conflicts=traffic.conflicts,
        sent=tuple(queue.sent),
    )


def _peak_kilobytes() -> int:
    """The most that was resident since this program began.

    getrusage would count the process that started it as well, which has lent it its memory.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0])


def main() -> None:
    """Process one order."""
    logger.setLevel("ERROR")
    report = work(Order.model_validate_json(sys.stdin.read()))
    sys.stdout.write(report.model_dump_json())
    sys.stdout.flush()
    os._exit(0)  # connections of botocore's pool would be closed one by one


if __name__ == "__main__":
    main()
