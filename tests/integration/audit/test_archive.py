"""Audit rows in locked storage: each at least once and unchanged, under consistent roots."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from runtime.alerts.models import Alert
from runtime.audit.archive.archiving import FORGED, ArchiveDependencies, archive_rows, close
from runtime.audit.archive.rules import NO_ROOT, fault_of_names, read_segment_name, segment_name
from runtime.audit.chain import GENESIS, hash_of, sealed, version_key
from runtime.audit.models import AuditRow, EntityType
from runtime.core.canonical_json import canonical_json
from runtime.core.change_context import AUDIT_TAMPERED
from runtime.streams.records import Kind, StreamRecord
from tests.support.audit.stage import AuditStage
from tests.support.engines.engine import Engine
from tests.support.engines.streams import SourceSettings, StreamFaults, StreamPoller
from tests.support.platform import Platform, at_once

ARRIVED = datetime(2026, 3, 14, 8, 59, tzinfo=UTC)


@pytest.fixture
def audit(ministack_engine: Engine) -> AuditStage:
    return AuditStage.on(ministack_engine)


@pytest.fixture
def streaming(engine: Engine) -> Iterator[Platform]:
    platform = Platform(engine, streams=True)
    yield platform
    platform.drop()


def row(version: int = 1, entity: str = "acc_a", previous: str = GENESIS, **more: Any) -> AuditRow:
    values: dict[str, Any] = {
        "entity_id": entity,
        "sequence": version_key(version),
        "action_bucket": "balance_debited#001",
        "user_bucket": "user#001",
        "merchant_bucket": "mer_a#000",
        "timestamp": "2026-03-14T09:00:00.000Z",
        "entity_type": EntityType.ACCOUNT,
        "version": version,
        "action": "balance_debited",
        "user_id": "user",
        "merchant_id": "mer_a",
        "old_values": {"balance": 10, "tags": ["a"], "none": None},
        "new_values": {"balance": 10 - version},
        "changes": ("balance",),
        "prev_hash": previous,
        **more,
    }
    return sealed(AuditRow(**values))


def record(
    platform: Platform,
    number: int,
    new: AuditRow | None,
    old: AuditRow | None = None,
    arrived: datetime = ARRIVED,
) -> StreamRecord:
    to_item = platform.store.codec.to_item
    kind = Kind.INSERT if old is None else Kind.REMOVE if new is None else Kind.MODIFY
    sequence = f"{number:021d}"
    moment = {"SequenceNumber": sequence, "ApproximateCreationDateTime": arrived.timestamp()}
    images = [None if each is None else to_item(each) for each in (old, new)]
    return StreamRecord("audit_log", kind, sequence, images[0], images[1], {"dynamodb": moment})


def batch(platform: Platform, first: int, count: int, **more: Any) -> list[StreamRecord]:
    return [record(platform, n, row(n), **more) for n in range(first, first + count)]


def archived(audit: AuditStage) -> list[AuditRow]:
    """All rows of all segments; each segment must match the hash in its name."""
    found = []
    for name, body in audit.segments().items():
        reported = read_segment_name(name)
        assert reported is not None
        lines = body.decode().splitlines()
        assert segment_name(reported.day, name.split("/")[2][:40], len(lines), body) == name
        for line in lines:
            assert canonical_json(json.loads(line)).decode() == line
            read = AuditRow.model_validate_json(line)
            assert read.hash == hash_of(read)
            found.append(read)
    return found


def must_be_whole(audit: AuditStage) -> None:
    """Every segment is under exactly one root, roots follow each other, signatures are right."""
    key = load_der_public_key(audit.public_key())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    previous, covered = NO_ROOT, []
    for number, root in enumerate(audit.roots(), start=1):
        assert (root.statement.number, root.statement.previous) == (number, previous)
        assert fault_of_names(root) is None
        signature = base64.b64decode(root.signature)
        key.verify(signature, root.statement.signed_bytes(), ec.ECDSA(SHA256()))
        previous = root.statement.hash
        covered += root.names
    assert sorted(covered) == sorted(audit.segments())


# -------------------------------------------------------------------- segments


def test_a_batch_becomes_one_segment_of_its_rows_as_canonical_lines(
    platform: Platform, audit: AuditStage
) -> None:
    rows = [row(1), row(2), row(1, "acc_b")]
    records = [record(platform, number, each) for number, each in enumerate(rows, start=5)]
    assert archive_rows(records, audit.deps(platform)) == frozenset()
    assert archived(audit) == rows
    ((name, _),) = audit.segments().items()
    assert name.startswith("rows/2026-03-14/" + "5".zfill(40) + "-00003-")


def test_a_repeated_batch_is_archived_once(platform: Platform, audit: AuditStage) -> None:
    records = batch(platform, 1, 5)
    at_once(*[lambda: archive_rows(records, audit.deps(platform)) for _ in range(4)])
    assert archive_rows(records, audit.deps(platform)) == frozenset()
    assert len(archived(audit)) == 5
    (version,) = audit.archive.versions("rows/")
    assert not version.is_marker


def test_a_segment_that_cannot_be_written_returns_its_whole_batch_for_a_retry(
    platform: Platform, audit: AuditStage
) -> None:
    lost = AuditStage(audit.s3, audit.kms, "no-such-bucket", audit.key_arn)
    records = batch(platform, 1, 3)
    failed = archive_rows(records, lost.deps(platform))
    assert failed == {each.sequence_number for each in records}


def test_archived_objects_cannot_be_deleted(platform: Platform, audit: AuditStage) -> None:
    archive_rows(batch(platform, 1, 1), audit.deps(platform))
    (version,) = audit.archive.versions("rows/")
    with pytest.raises(ClientError, match="AccessDenied"):
        audit.s3.delete_object(Bucket=audit.bucket, Key=version.key, VersionId=version.version_id)
    assert len(archived(audit)) == 1


def test_the_stream_of_a_real_table_is_archived_under_faults(
    streaming: Platform, audit: AuditStage
) -> None:
    dice = random.Random("archive")
    rows = [row(version, f"acc_{n}") for n in range(8) for version in range(1, 6)]
    dice.shuffle(rows)
    for each in rows:
        streaming.put(each)

    def handler(event: dict[str, Any], _: Any) -> dict[str, Any]:
        deps = audit.deps(streaming, clock=lambda: datetime.now(UTC))
        records = [_as_handled(raw) for raw in event["Records"]]
        failed = archive_rows(records, deps)
        first = next((r.sequence_number for r in records if r.sequence_number in failed), None)
        items = [] if first is None else [{"itemIdentifier": first}]
        return {"batchItemFailures": items}

    poller = StreamPoller(
        streaming.engine,
        [streaming.tables["audit_log"]],
        handler,
        seed="archive",
        faults=StreamFaults(doubled=0.1, late=0.2, repeated=0.2, rewound=0.1, killed=0.1),
        settings=SourceSettings(batch_size=7),
    )
    poller.drain(workers=2)
    found = {(each.entity_id, each.sequence): each for each in archived(audit)}
    assert found == {(each.entity_id, each.sequence): each for each in rows}
    assert streaming.rows(Alert) == []
    close(audit.deps(streaming, clock=lambda: datetime.now(UTC)))
    must_be_whole(audit)


def _as_handled(raw: dict[str, Any]) -> StreamRecord:
    change = raw["dynamodb"]
    old, new = change.get("OldImage"), change.get("NewImage")
    kind = Kind(raw["eventName"])
    return StreamRecord("audit_log", kind, change["SequenceNumber"], old, new, raw)


# -------------------------------------------------------------------- tampering


def test_a_changed_or_deleted_row_triggers_one_alarm_with_its_position(
    platform: Platform, audit: AuditStage, caplog: pytest.LogCaptureFixture
) -> None:
    edited = row(2).model_copy(update={"user_id": "intruder"})
    records = [
        record(platform, 1, row(1)),
        record(platform, 2, edited, old=row(2)),
        record(platform, 3, None, old=row(3, "acc_b")),
    ]
    for _ in range(2):
        assert archive_rows(records, audit.deps(platform)) == frozenset()
    alerts = sorted(platform.rows(Alert), key=lambda each: each.entity_id)
    assert [(a.entity_id, a.detail["sequence"], a.detail["kind"]) for a in alerts] == [
        ("acc_a", version_key(2), "MODIFY"),
        ("acc_b", version_key(3), "REMOVE"),
    ]
    assert {alert.merchant_id for alert in alerts} == {"mer_a"}
    assert archived(audit) == [row(1)]
    assert caplog.messages.count(AUDIT_TAMPERED) == 4


def test_a_row_not_made_by_the_projector_is_archived_as_it_is_and_triggers_an_alarm(
    platform: Platform, audit: AuditStage
) -> None:
    forged = row(1).model_copy(update={"user_id": "intruder"})
    nonsense = {"entity_id": {"S": "acc_b"}, "sequence": {"S": "x"}, "more": {"N": "1"}}
    records = [record(platform, 1, forged)]
    raw = {"dynamodb": {"ApproximateCreationDateTime": ARRIVED.timestamp()}}
    records.append(StreamRecord("audit_log", Kind.INSERT, "2".zfill(21), None, nonsense, raw))
    assert archive_rows(records, audit.deps(platform)) == frozenset()
    ((_, body),) = audit.segments().items()
    first, second = map(json.loads, body.splitlines())
    assert AuditRow(**first) == forged
    assert second == {"unreadable": nonsense}
    assert {(a.entity_id, a.detail["kind"]) for a in platform.rows(Alert)} == {
        ("acc_a", FORGED),
        ("acc_b", FORGED),
    }


def test_only_records_whose_alert_failed_are_retried(platform: Platform, audit: AuditStage) -> None:
    class Broken:
        def record(self, _: Alert) -> bool:
            raise RuntimeError("no table")

    deps = audit.deps(platform)
    broken = ArchiveDependencies(**{**deps.__dict__, "alerts": Broken()})
    records = [record(platform, 1, row(1)), record(platform, 2, None, old=row(2))]
    assert archive_rows(records, broken) == {records[1].sequence_number}
    assert archived(audit) == [row(1)]


# -------------------------------------------------------------------- roots


def test_a_run_signs_all_uncovered_segments_and_the_next_run_only_new_ones(
    platform: Platform, audit: AuditStage
) -> None:
    deps = audit.deps(platform)
    nothing = close(deps)
    assert (nothing.roots, nothing.last_number, nothing.complete) == (0, 0, True)
    archive_rows(batch(platform, 1, 3), deps)
    archive_rows(batch(platform, 4, 2), deps)
    first = close(deps)
    assert (first.roots, first.segments, first.rows) == (1, 2, 5)
    assert close(deps).roots == 0
    platform.clock.advance(3600)
    archive_rows(batch(platform, 6, 1), deps)
    second = close(deps)
    assert (second.roots, second.segments, second.rows, second.last_number) == (1, 1, 1, 2)
    assert [root.statement.day for root in audit.roots()] == ["2026-03-14"] * 2
    must_be_whole(audit)


def test_a_late_segment_is_covered_although_newer_ones_were_covered_before(
    platform: Platform, audit: AuditStage
) -> None:
    deps = audit.deps(platform)
    archive_rows(batch(platform, 50, 1), deps)
    close(deps)
    platform.clock.advance(23 * 3600)
    archive_rows(batch(platform, 7, 1), deps)  # of the day before, and of an earlier place
    archive_rows(batch(platform, 90, 1, arrived=ARRIVED + timedelta(hours=23)), deps)
    assert close(deps).segments == 2
    must_be_whole(audit)


def test_a_segment_redriven_weeks_later_is_covered_too(
    platform: Platform, audit: AuditStage
) -> None:
    deps = audit.deps(platform)
    archive_rows(batch(platform, 50, 1), deps)
    close(deps)
    for _ in range(20):
        platform.clock.advance(86_400)
        close(deps)
    archive_rows(batch(platform, 7, 1), deps)
    assert close(deps).segments == 1
    must_be_whole(audit)


def test_segments_beyond_one_roots_limit_are_covered_by_the_next_roots(
    platform: Platform, audit: AuditStage
) -> None:
    deps = audit.deps(platform, max_segments=3)
    for day in range(10):
        arrived = ARRIVED + timedelta(days=day)
        platform.clock.set(arrived)
        archive_rows(batch(platform, 10 * day + 1, 1, arrived=arrived), deps)
    platform.clock.set(ARRIVED + timedelta(days=30))
    report = close(deps)
    assert (report.roots, report.segments, report.complete) == (4, 10, True)
    must_be_whole(audit)


def test_a_run_out_of_time_is_continued_by_the_next(platform: Platform, audit: AuditStage) -> None:
    for number in range(1, 6):
        arrived = ARRIVED + timedelta(days=number)
        platform.clock.set(arrived)
        archive_rows(batch(platform, number, 1, arrived=arrived), audit.deps(platform))
    platform.clock.set(ARRIVED + timedelta(days=40))
    calls = iter([False, False, True])
    report = close(audit.deps(platform, must_stop=lambda: next(calls), max_segments=2))
    assert (report.roots, report.segments, report.complete) == (2, 4, False)
    assert close(audit.deps(platform, must_stop=lambda: True)).complete is False
    assert close(audit.deps(platform)).segments == 1
    must_be_whole(audit)


def test_concurrent_runs_make_one_root_per_number(platform: Platform, audit: AuditStage) -> None:
    for number in range(1, 9):
        archive_rows(batch(platform, number, 1), audit.deps(platform))
    reports = at_once(*[lambda: close(audit.deps(platform, max_segments=3)) for _ in range(4)])
    assert not [report for report in reports if isinstance(report, Exception)]
    assert sum(report.segments for report in reports) == 8  # type: ignore[union-attr]
    assert len(list(audit.archive.versions("roots/"))) == len(audit.roots())
    must_be_whole(audit)


def test_a_run_that_dies_around_its_put_leaves_one_root(
    platform: Platform, audit: AuditStage
) -> None:
    archive_rows(batch(platform, 1, 2), audit.deps(platform))

    class Dying:
        """The archive, whose run ends before or after the root was put."""

        def __init__(self, *, after: bool) -> None:
            self._after = after

        def add_root(self, root: Any) -> bool:
            if self._after:
                audit.archive.add_root(root)
            raise RuntimeError("killed")

        def __getattr__(self, name: str) -> Any:
            return getattr(audit.archive, name)

    for after in (False, True):
        with pytest.raises(RuntimeError, match="killed"):
            close(audit.deps(platform, archive=Dying(after=after)))
    assert close(audit.deps(platform)).roots == 0
    assert len(audit.roots()) == 1
    must_be_whole(audit)
