"""Audit verification finds every planted tampering at its position, and nothing else."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from threading import Lock
from typing import Any

import pytest

from operations.audit.archive_verification import ArchiveReader
from operations.audit.verification import Phase
from operations.audit.verification_db import VerificationDatabase
from runtime.alerts.raising import alert_of
from runtime.alerts.repository import AlertRepository
from runtime.audit.actions import OUT_OF_BAND_ACTION
from runtime.audit.archive.rules import RootStatement, SignedRoot, root_name, segment_name
from runtime.audit.chain import sealed, version_key
from runtime.audit.models import AuditRow
from runtime.audit.projection.rows import out_of_band_alert
from runtime.core.canonical_json import canonical_json
from runtime.functions.composition.real_outside import RealThreads
from tests.support.audit.harness import AuditHarness
from tests.support.audit.rows import account, audit_projection, next_version, reported
from tests.support.audit.stage import AuditStage
from tests.support.engines.engine import Engine
from tests.support.outside import new_id

STEPS: tuple[dict[str, Any], ...] = tuple(
    {"status": "inactive" if number % 2 else "active"} for number in range(1, 5)
)


def hashed_again(rows: list[AuditRow], previous: str) -> list[AuditRow]:
    """The rows as a chain of their own after `previous`."""
    made = []
    for row in rows:
        made.append(sealed(row.model_copy(update={"prev_hash": previous})))
        previous = made[-1].hash
    return made


# -------------------------------------------------------------------- valid logs


def test_an_untampered_log_is_valid_and_counted(either_auditor: AuditHarness) -> None:
    auditor = either_auditor
    for _ in range(5):
        auditor.account(*STEPS)
    auditor.account(shard="07")
    auditor.close()
    auditor.account(*STEPS[:1])
    auditor.close()
    read: dict[Phase, int] = {}

    def progress(phase: Phase, count: int) -> None:
        read[phase] = read.get(phase, 0) + count

    report = auditor.verify(progress=progress)
    assert report.findings == ()
    assert (report.rows, report.archived, report.chains, report.entities) == (28, 28, 7, 7)
    assert (report.segments, report.roots, report.young) == (7, 2, 0)
    assert read == {Phase.ENTITIES: 7, Phase.ROWS: 28, Phase.CHAINS: 7}


def test_one_entity_is_verified_alone_with_the_whole_archive(auditor: AuditHarness) -> None:
    good, bad = auditor.account(*STEPS), auditor.account(*STEPS)
    auditor.close()
    auditor.platform.put(auditor.chain(bad.id)[1].model_copy(update={"user_id": "intruder"}))
    assert auditor.found(only=good.id) == []
    assert auditor.verify(only=good.id).rows == 5
    assert auditor.found(only=bad.id) == [(bad.id, 2, version_key(2))]
    assert auditor.found() == [(bad.id, 2, version_key(2))]


def test_an_empty_log_is_valid(auditor: AuditHarness) -> None:
    report = auditor.verify()
    assert (report.holds, report.rows, report.roots) == (True, 0, 0)


# -------------------------------------------------------------------- edits of the table


def test_an_edited_row_is_found(either_auditor: AuditHarness) -> None:
    auditor = either_auditor
    entity = auditor.account(*STEPS).id
    auditor.account(*STEPS)
    auditor.close()
    edited = auditor.chain(entity)[2].model_copy(update={"new_values": {"status": "closed"}})
    auditor.platform.put(edited)
    finding = auditor.only_finding()
    assert (finding.subject, finding.position, finding.sequence) == (entity, 3, version_key(3))
    assert "does not match its hash" in finding.reason


@pytest.mark.parametrize("position", [1, 3, 5])
def test_a_deleted_row_is_found_whether_first_or_last(auditor: AuditHarness, position: int) -> None:
    entity = auditor.account(*STEPS).id
    auditor.close()
    auditor.platform.delete(auditor.chain(entity)[position - 1])
    finding = auditor.only_finding()
    assert (finding.subject, finding.position) == (entity, position)
    assert finding.sequence == version_key(position)
    assert "deleted" in finding.reason


def test_a_deleted_chain_is_found(auditor: AuditHarness) -> None:
    entity = auditor.account(*STEPS).id
    for row in auditor.chain(entity):
        auditor.platform.delete(row)
    assert auditor.found() == [(entity, 1, version_key(1))]


def test_two_swapped_rows_are_found_at_the_first(either_auditor: AuditHarness) -> None:
    auditor = either_auditor
    entity = auditor.account(*STEPS).id
    auditor.close()
    second, third = auditor.chain(entity)[1:3]
    auditor.platform.put(second.model_copy(update={"sequence": third.sequence}))
    auditor.platform.put(third.model_copy(update={"sequence": second.sequence}))
    assert auditor.found() == [(entity, 2, version_key(2))]


def test_an_inserted_row_is_found_whatever_it_contains(auditor: AuditHarness) -> None:
    entity = auditor.account(*STEPS).id
    auditor.close()
    rows = auditor.chain(entity)
    loose = rows[1].model_copy(update={"sequence": version_key(2) + "#" + "7".zfill(40)})
    auditor.platform.put(sealed(loose))
    assert auditor.found() == [(entity, 3, loose.sequence)]
    # A row that follows the one before it repeats a version, or is a change without an alert; and
    # with an alert, the next row does not follow it.
    fitting = loose.model_copy(update={"prev_hash": rows[1].hash})
    from_outside = sealed(fitting.model_copy(update={"action": OUT_OF_BAND_ACTION}))
    for forged in (sealed(fitting), from_outside):
        auditor.platform.put(forged)
        assert auditor.found() == [(entity, 3, loose.sequence)]
    auditor.archive([from_outside])
    AlertRepository(auditor.platform.store).record(alert_of(out_of_band_alert(from_outside)))
    assert auditor.found() == [(entity, 4, version_key(3))]


def test_a_tail_rehashed_after_an_edit_is_found_through_the_archive(
    either_auditor: AuditHarness,
) -> None:
    auditor = either_auditor
    entity = auditor.account(*STEPS).id
    auditor.close()
    rows = auditor.chain(entity)
    edited = rows[2].model_copy(update={"user_id": "intruder"})
    for row in hashed_again([edited, *rows[3:]], rows[1].hash):
        auditor.platform.put(row)
    auditor.chain(entity)  # the chain alone holds
    finding = auditor.only_finding()
    assert (finding.subject, finding.position, finding.sequence) == (entity, 3, version_key(3))
    assert "hashed again" in finding.reason


def test_a_tail_deleted_and_written_again_was_archived_twice(auditor: AuditHarness) -> None:
    entity = auditor.account(*STEPS).id
    auditor.close()
    rows = auditor.chain(entity)
    edited = rows[3].model_copy(update={"user_id": "intruder"})
    anew = hashed_again([edited, *rows[4:]], rows[2].hash)
    for row in anew:
        auditor.platform.put(row)
    auditor.archive(anew)  # what the stream brought of it
    finding = auditor.only_finding()
    assert (finding.subject, finding.position) == (entity, 4)
    assert "2 contents" in finding.reason


def test_a_row_that_cannot_be_parsed_is_found(auditor: AuditHarness) -> None:
    entity = auditor.account(*STEPS).id
    auditor.platform.client.update_item(
        TableName=auditor.platform.tables["audit_log"],
        Key={"entity_id": {"S": entity}, "sequence": {"S": version_key(4)}},
        UpdateExpression="REMOVE image_hash, #a",
        ExpressionAttributeNames={"#a": "action"},
    )
    assert auditor.found() == [(entity, 4, version_key(4))]


def test_an_account_whose_id_was_used_by_hand_before_is_valid(auditor: AuditHarness) -> None:
    platform, project = auditor.platform, audit_projection(auditor.platform)
    first = account(platform)
    forged = first.model_copy(update={"version": 7, "balance": 5})
    second = next_version(first, held_in=1)
    for old, new in [(None, forged), (forged, None), (None, first), (first, second)]:
        assert project([reported(platform, old, new)]) == frozenset()
        if new is None:
            platform.delete(forged)
        else:
            auditor.store(new)
        auditor.archive(auditor.chain(first.id)[-1:])
        auditor.close()
        assert auditor.found() == []


def test_each_entitys_first_invalid_link_is_reported_in_order(auditor: AuditHarness) -> None:
    entities = sorted(auditor.account(*STEPS).id for _ in range(3))
    for entity in entities:
        rows = auditor.chain(entity)
        for row in rows[2:4]:
            auditor.platform.put(row.model_copy(update={"user_id": "intruder"}))
    expected = [(entity, 3, version_key(3)) for entity in entities]
    assert auditor.found() == expected
    assert auditor.found() == expected


# -------------------------------------------------------------------- the entities


def test_an_entity_changed_without_a_row_is_found(auditor: AuditHarness) -> None:
    state = auditor.account(*STEPS)
    auditor.store(state.model_copy(update={"status": "closed"}))
    finding = auditor.only_finding()
    assert (finding.subject, finding.position) == (state.id, 5)
    assert "no row records its values" in finding.reason


def test_an_entity_restored_to_earlier_values_is_found(auditor: AuditHarness) -> None:
    state = auditor.account(status="active")
    later = next_version(state, status="inactive")
    assert (
        audit_projection(auditor.platform)([reported(auditor.platform, state, later)])
        == frozenset()
    )
    auditor.archive(auditor.chain(state.id)[1:])
    assert "it was restored" in auditor.only_finding().reason


def test_a_missing_entity_and_one_without_rows_are_found(auditor: AuditHarness) -> None:
    gone = auditor.account(*STEPS)
    auditor.platform.delete(gone)
    untold = gone.model_copy(update={"id": new_id("acc", auditor.platform.clock())})
    auditor.store(untold)
    found = {f.subject: f.reason for f in auditor.verify().findings}
    assert set(found) == {gone.id, untold.id}
    assert "missing" in found[gone.id]
    assert "no row records its creation" in found[untold.id]


def test_a_row_that_arrives_while_it_is_waited_for_is_not_a_finding(auditor: AuditHarness) -> None:
    platform = auditor.platform
    state = auditor.account(*STEPS)
    later = next_version(state, status="closed")
    auditor.store(later)

    def catch_up(_: float) -> None:
        audit_projection(platform)([reported(platform, state, later)])
        if not auditor.stage.archive.root_names():
            auditor.archive(auditor.chain(state.id)[5:])
            auditor.close()

    assert auditor.verify(sleep=catch_up).findings == ()


# -------------------------------------------------------------------- the archive


def test_an_old_row_missing_in_the_archive_is_found_and_a_recent_one_is_not(
    auditor: AuditHarness,
) -> None:
    entity = auditor.account(*STEPS, archive=False).id
    auditor.platform.clock.advance(3600)
    assert auditor.found() == [(entity, 1, version_key(1))]
    young = auditor.verify(grace=timedelta(hours=2))
    assert (young.findings, young.young) == ((), 1)


def test_an_overwritten_hidden_or_forged_segment_is_found(auditor: AuditHarness) -> None:
    entities = [auditor.account(*STEPS).id for _ in range(2)]
    auditor.close()
    over, hidden = sorted(auditor.stage.segments())
    s3, bucket = auditor.stage.s3, auditor.stage.bucket
    s3.put_object(Bucket=bucket, Key=over, Body=b"{}\n")
    s3.delete_object(Bucket=bucket, Key=hidden)
    row = auditor.chain(entities[0])[0].model_copy(update={"user_id": "intruder"})
    body = canonical_json(sealed(row).model_dump(mode="json")) + b"\n"
    wrong = segment_name(auditor.platform.clock().date(), "9", 1, b"other")
    s3.put_object(Bucket=bucket, Key=wrong, Body=body)
    found = {finding.subject: finding for finding in auditor.verify().findings}
    assert set(found) == {over, hidden, wrong, entities[0]}
    assert "overwritten or hidden 1 times" in found[over].reason
    assert "overwritten or hidden 1 times" in found[hidden].reason
    assert "does not match its name" in found[wrong].reason
    assert (found[entities[0]].position, found[entities[0]].sequence) == (1, version_key(1))


def test_an_uncovered_segment_older_than_signed_ones_is_found(
    auditor: AuditHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor.account()
    (covered,) = auditor.stage.segments()
    auditor.close()
    auditor.account()
    (left_out,) = set(auditor.stage.segments()) - {covered}
    # The bucket keeps the time of this machine, and the tests' clock is another.
    monkeypatch.setattr("operations.audit.archive_verification.WRITING", timedelta(days=-10_000))
    assert auditor.found() == [(left_out, 0, "")]


def test_no_root_for_two_days_is_found(auditor: AuditHarness) -> None:
    auditor.account()
    (segment,) = auditor.stage.segments()
    assert auditor.found() == []
    auditor.platform.clock.advance(3650 * 86_400)
    assert auditor.found() == [(segment, 0, "")]


def test_a_root_with_a_wrong_signature_or_predecessor_is_found(
    auditor: AuditHarness,
) -> None:
    auditor.account()
    auditor.close()
    (first,) = auditor.stage.roots()
    archive = auditor.stage.archive

    def put(number: int, **changes: Any) -> str:
        statement = first.statement.model_copy(
            update={"number": number, "previous": first.statement.hash, **changes}
        )
        archive.add_root(first.model_copy(update={"statement": statement}))
        return root_name(number)

    assert {put(2), put(3)} == {f.subject for f in auditor.verify().findings}
    reasons = [finding.reason for finding in auditor.verify().findings]
    assert "signature" in reasons[0]
    assert "does not follow" in reasons[1]


def test_a_root_with_a_valid_signature_over_other_names_is_found(
    auditor: AuditHarness,
) -> None:
    auditor.account()
    auditor.account()
    names = tuple(sorted(auditor.stage.segments()))
    statement = RootStatement(
        number=1,
        day="2026-03-14",
        closed_at="2026-03-14T10:00:00.000Z",
        previous="0" * 64,
        first=names[0],
        last=names[1],
        segments=2,
        rows=2,
        tree="ab" * 32,
        key=auditor.stage.key_arn,
    )
    signature = auditor.stage.deps(auditor.platform).signer.sign(statement)
    root = SignedRoot(statement=statement, signature=signature, names=names)
    auditor.stage.archive.add_root(root)
    finding = auditor.only_finding()
    assert (finding.subject, finding.position) == (root_name(1), 0)
    assert "tree" in finding.reason


def test_a_missing_segment_that_a_root_covers_is_found(auditor: AuditHarness) -> None:
    auditor.account()
    auditor.close()
    (root,) = auditor.stage.roots()
    elsewhere = AuditStage.on(Engine("ministack", auditor.stage.s3.meta.endpoint_url))
    elsewhere.archive.add_root(root)
    moved = AuditHarness(auditor.platform, elsewhere, auditor.directory)
    index = VerificationDatabase(auditor.directory / "moved.sqlite", Lock())
    reader = ArchiveReader(elsewhere.archive, index, auditor.stage.public_key(), RealThreads)
    assert reader.read_archive(auditor.platform.clock()) == 1
    assert [(f.subject, f.reason) for f in reader.findings] == [
        (root.names[0], "root 1 covers it, but it is missing")
    ]
    index.close()
    assert moved.stage.segments() == {}


def test_a_signature_is_over_the_canonical_json_of_the_statement(auditor: AuditHarness) -> None:
    auditor.account()
    auditor.close()
    (root,) = auditor.stage.roots()
    answer = auditor.stage.kms.verify(
        KeyId=auditor.stage.key_arn,
        Message=canonical_json(json.loads(root.statement.model_dump_json())),
        MessageType="RAW",
        Signature=base64.b64decode(root.signature),
        SigningAlgorithm="ECDSA_SHA_256",
    )
    assert answer["SignatureValid"] is True
