"""`make redrive`: pass failed stream batches to their functions again.

An object of the bucket of failed batches is deleted only after all its records were processed.
Projections count each change once, so the command may be stopped anywhere and run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.errors import LocalError
from local.progress import Progress
from runtime.streams.records import REDRIVEN

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

MAX_PAYLOAD_BYTES: Final = 6 * 1024 * 1024
"""Of one synchronous invocation (Lambda quotas: 6 MB)."""
ENVELOPE_BYTES: Final = 64
"""More than `{"redriven": true, "Records": []}` around the records."""
LIVE: Final = "live"
"""The alias that the streams invoke too: after a rollback it is not the latest version."""
PROJECTOR: Final = "project"
FUNCTION_OF_TABLE: Final = {"audit_log": "archive"}
"""The function that a table's stream invokes; all others invoke the projector."""

Record = Mapping[str, Any]


class Remains(Exception):
    """An object remains; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """The bucket of failed batches, and the functions: physical names by role."""

    bucket: str
    functions: Mapping[str, str]
    tables: Mapping[str, str]
    files: S3Client
    invoker: LambdaClient

    def function_of(self, record: Record) -> str:
        """The function that the record's stream invokes. Raises Remains if there is none."""
        try:
            physical = record["eventSourceARN"].partition(":table/")[2].partition("/")[0]
        except (KeyError, TypeError, AttributeError) as error:
            raise Remains("it contains something other than stream records") from error
        role = next((role for role, name in self.tables.items() if name == physical), None)
        if role is None:
            raise Remains(f"its table {physical!r} does not belong to this stage")
        wanted = FUNCTION_OF_TABLE.get(role, PROJECTOR)
        if wanted not in self.functions:
            raise Remains(f"function {wanted!r} does not exist")
        return self.functions[wanted]


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """One object of the bucket, as listed."""

    key: str
    put_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An object's records, the reason of the failure, and the version that was read."""

    batch: FailedBatch
    records: tuple[Record, ...]
    reason: str
    version: str

    @property
    def first_number(self) -> int:
        """Sequence numbers grow in a shard, so the first record is the oldest."""
        numbers = (int(record["dynamodb"]["SequenceNumber"]) for record in self.records)
        return min(numbers, default=0)


@dataclass(frozen=True, slots=True)
class RedriveReport:
    """The number of processed objects, and why the others remain, by key."""

    taken: int
    remaining: Mapping[str, str]


def redrive(target: Target, progress: Progress) -> RedriveReport:
    """Redrive everything in the bucket now, oldest first."""
    batches = list(batches_in(target))
    progress.say(f"{len(batches)} failed batches in {target.bucket}")
    reasons: dict[str, str] = {}
    taken = 0
    for number, (batch, opened) in enumerate(_oldest_first(target, batches), start=1):
        try:
            if isinstance(opened, Remains):
                raise opened
            _take(opened, target)
        except Remains as why:
            reasons[batch.key] = str(why)
            progress.say(f"[{number}/{len(batches)}] remains: {batch.key}: {why}")
        else:
            taken += 1
            progress.say(f"[{number}/{len(batches)}] processed: {batch.key}")
    # Read once more: a record that is parked again while it is redriven was not processed.
    left = {
        each.key: reasons.get(each.key, "it was added during the run")
        for each in batches_in(target)
    }
    return RedriveReport(taken, left)


def list_batches(target: Target) -> Iterator[str]:
    """A line for each object: its time, its reason, and the number of its records."""
    for batch, opened in _oldest_first(target, list(batches_in(target))):
        at = batch.put_at.astimezone(UTC).isoformat(timespec="seconds")
        if isinstance(opened, Remains):
            yield f"{at}  {batch.key}: {opened}"
            continue
        tables = {
            record.get("eventSourceARN", "").partition(":table/")[2].partition("/")[0]
            for record in opened.records
        }
        held = f"{len(opened.records)} records of {', '.join(sorted(tables))}"
        yield f"{at}  {batch.key}: {held} ({opened.reason})"


def batches_in(target: Target) -> Iterator[FailedBatch]:
    """The content of the bucket."""
    for page in target.files.get_paginator("list_objects_v2").paginate(Bucket=target.bucket):
        for found in page.get("Contents", []):
            yield FailedBatch(found["Key"], found["LastModified"], found["Size"])


def _oldest_first(
    target: Target, batches: Sequence[FailedBatch]
) -> Iterator[tuple[FailedBatch, Opened | Remains]]:
    """Objects in the order in which they failed, and within a second in the stream's."""
    in_time = sorted(batches, key=lambda batch: (batch.put_at, batch.key))
    for _, of_one_second in groupby(in_time, key=lambda batch: batch.put_at.replace(microsecond=0)):
        opened = [(batch, _opened(target, batch)) for batch in of_one_second]
        yield from sorted(
            opened, key=lambda pair: 0 if isinstance(pair[1], Remains) else pair[1].first_number
        )


def _opened(target: Target, batch: FailedBatch) -> Opened | Remains:
    try:
        answer = target.files.get_object(Bucket=target.bucket, Key=batch.key)
        document = json.loads(answer["Body"].read())
        records = tuple(json.loads(document["payload"])["Records"])
        condition = document.get("requestContext", {}).get("condition")
        opened = Opened(batch, records, str(document.get("parked") or condition), _version(answer))
        opened.first_number  # noqa: B018 - fails here if these are not stream records
    except (BotoCoreError, ClientError) as error:
        return Remains(f"it could not be read ({error})")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Remains(f"it is not a failed batch with its records ({error!r})")
    return opened if records else Remains("it holds no records")


def _version(answer: Any) -> str:
    """Identifies an object, as opposed to a later one under the same key."""
    return str(answer.get("VersionId") or (answer["ETag"], answer["LastModified"]))


def _take(opened: Opened, target: Target) -> None:
    """Pass the records to their function, in order, then delete the object.

    Raises Remains if a record was not processed, or was parked again under the same key.
    """
    for function, records in groupby(opened.records, key=target.function_of):
        for some in _within_payload(list(records)):
            _invoke(target, function, some)
    bucket, key = target.bucket, opened.batch.key
    try:
        if _version(target.files.head_object(Bucket=bucket, Key=key)) != opened.version:
            raise Remains("its records were parked again; the function's log has the reason")
        target.files.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise Remains(
            f"its records were processed, but it could not be deleted ({error})"
        ) from error


def _within_payload(records: Sequence[Record]) -> Iterator[bytes]:
    """Events of these records, each as large as an invocation may be."""
    room = MAX_PAYLOAD_BYTES - ENVELOPE_BYTES
    some: list[bytes] = []
    for record in records:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) > room:
            raise Remains(f"one of its records has {len(text)} bytes, more than Lambda takes")
        if some and sum(map(len, some)) + len(some) + len(text) > room:
            yield _event(some)
            some = []
        some.append(text)
    yield _event(some)


def _event(records: Sequence[bytes]) -> bytes:
    return b'{"%b":true,"Records":[%b]}' % (REDRIVEN.encode(), b",".join(records))


def _invoke(target: Target, function: str, payload: bytes) -> None:
    try:
        answer = target.invoker.invoke(FunctionName=function, Qualifier=LIVE, Payload=payload)
        said = json.loads(answer["Payload"].read() or b"null")
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Remains(f"{function} could not be invoked ({error})") from error
    if answer.get("FunctionError"):
        reason = said.get("errorMessage", said) if isinstance(said, dict) else said
        raise Remains(f"{function} failed: {reason}")
    if not isinstance(said, dict) or not isinstance(said.get("batchItemFailures"), list):
        raise Remains(f"{function} did not report which records failed: {said!r}")
    if said["batchItemFailures"]:
        first = said["batchItemFailures"][0].get("itemIdentifier")
        raise Remains(f"{function} did not process the record {first}; its log has the reason")


def require_nothing_left(report: RedriveReport, progress: Progress) -> None:
    """Report the result. Raises LocalError if something remains."""
    progress.say(f"{report.taken} failed batches were processed and deleted.")
    if report.remaining:
        keys = "\n".join(f"  {key}: {why}" for key, why in sorted(report.remaining.items()))
        raise LocalError(
            f"{len(report.remaining)} remain:\n{keys}",
            hint='Fix the cause and run it again. Logs: make logs ARGS="project" or "archive"',
        )
