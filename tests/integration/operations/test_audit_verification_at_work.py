"""Verification while the platform runs: recent changes are not findings, everything else is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from operations.audit import verification as audit_verification
from operations.audit.verification import Phase
from runtime.audit.archive.bucket import AuditArchive, ObjectVersion
from runtime.audit.archive.rules import day_prefix
from runtime.audit.chain import GENESIS, outside_key, sealed
from runtime.audit.models import ROWS_PREFIX
from runtime.ledger.accounts.models import Account
from tests.support.audit.harness import AuditHarness
from tests.support.audit.rows import audit_projection, next_version, reported


class WatchedArchive(AuditArchive):
    """An archive that records its reads; `then` is called once, after a listing of rows."""

    def __init__(self, auditor: AuditHarness, then: Callable[[], Any] = lambda: None) -> None:
        super().__init__(auditor.stage.s3, auditor.stage.bucket)
        self.listed: list[str] = []
        self.read: list[str] = []
        self._then = then

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        self.listed.append(prefix)
        yield from super().versions(prefix)
        if prefix.startswith(ROWS_PREFIX):
            then, self._then = self._then, lambda: None
            then()

    def content(self, name: str, version_id: str | None = None) -> bytes:
        self.read.append(name)
        return super().content(name, version_id)


def when(phase: Phase, then: Callable[[], Any]) -> Callable[[Phase, int], None]:
    """Call a function at the first progress message of a phase."""
    left = [then]

    def progress(now: Phase, _: int) -> None:
        if now is phase and left:
            left.pop()()

    return progress


def test_an_archive_that_is_closed_while_it_is_read_is_valid(auditor: AuditHarness) -> None:
    auditor.account()
    auditor.close()

    def close_again() -> None:
        auditor.account()
        auditor.close()

    report = auditor.verify(archive=WatchedArchive(auditor, close_again))
    assert report.findings == ()
    assert len(auditor.stage.roots()) == 2


def test_entities_that_appear_between_two_scans_are_read_again(
    auditor: AuditHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_verification, "LOOKED_AT_TOGETHER", 2)
    states = [auditor.account() for _ in range(5)]
    for state in states:
        auditor.platform.delete(state)
    # Rows are read after the entities: these entities and their rows have appeared in between.
    appear = when(Phase.ROWS, lambda: [auditor.store(state) for state in states])
    assert auditor.verify(progress=appear).findings == ()


def test_a_second_read_waits_the_full_time_for_late_rows(auditor: AuditHarness) -> None:
    platform, state = auditor.platform, auditor.account()
    later = next_version(state, status="inactive")
    auditor.store(later)
    began = platform.clock()

    def late(_: float) -> None:
        if platform.clock() - began > timedelta(seconds=5):
            audit_projection(platform)([reported(platform, state, later)])
            auditor.archive(auditor.chain(state.id)[1:])

    assert auditor.verify(sleep=late).findings == ()


def test_a_busy_entity_whose_rows_have_stopped_is_found(auditor: AuditHarness) -> None:
    states = [auditor.account()]

    def change(_: float) -> None:
        states.append(next_version(states[-1]))
        auditor.store(states[-1])

    change(0)
    (finding,) = auditor.verify(sleep=change).findings
    assert (finding.subject, finding.position) == (states[0].id, 1)
    assert "no row records its values" in finding.reason


def test_a_busy_entity_with_late_rows_is_not_a_finding(auditor: AuditHarness) -> None:
    platform, states = auditor.platform, [auditor.account()]

    def change() -> None:
        states.append(next_version(states[-1]))
        auditor.store(states[-1])

    def change_and_tell_the_one_before(_: float) -> None:
        change()
        audit_projection(platform)([reported(platform, states[-3], states[-2])])
        auditor.archive(auditor.chain(states[0].id)[-1:])

    change()
    assert auditor.verify(sleep=change_and_tell_the_one_before).findings == ()


# -------------------------------------------------------------------- out-of-band changes


def told_outside(auditor: AuditHarness, old: Account, new: Account | None) -> None:
    """The record of an out-of-band change, an hour later."""
    auditor.platform.clock.advance(3600)
    audit_projection(auditor.platform)([reported(auditor.platform, old, new)])
    auditor.archive(auditor.chain(old.id)[-1:])


def test_an_out_of_band_change_with_an_alert_is_valid(either_auditor: AuditHarness) -> None:
    auditor = either_auditor
    edited = (state := auditor.account()).model_copy(update={"status": "inactive"})
    auditor.store(edited)
    told_outside(auditor, state, edited)
    told_outside(auditor, gone := auditor.account(), None)
    auditor.platform.delete(gone)
    assert auditor.found() == []


def test_an_out_of_band_change_without_an_alert_is_found(
    either_auditor: AuditHarness,
) -> None:
    auditor = either_auditor
    last = auditor.chain(auditor.account().id)[-1]
    forged = sealed(
        last.model_copy(
            update={
                "sequence": outside_key(1, "99999"),
                "action": "out_of_band",
                "prev_hash": last.hash,
                "image_hash": "00" * 32,
            }
        )
    )
    invented = {"entity_id": "acc_ghost", "sequence": outside_key(0, "99999"), "version": 0}
    ghost = sealed(forged.model_copy(update={**invented, "prev_hash": GENESIS, "image_hash": ""}))
    for row in (forged, ghost):
        auditor.platform.put(row)
    auditor.archive([forged, ghost])
    findings = auditor.verify().findings
    assert {(f.subject, f.position, f.sequence) for f in findings} == {
        (last.entity_id, 2, forged.sequence),
        ("acc_ghost", 1, ghost.sequence),
    }
    assert all("alert" in finding.reason for finding in findings)


def test_an_entity_restored_after_a_logged_out_of_band_change_is_found(
    auditor: AuditHarness,
) -> None:
    edited = (state := auditor.account()).model_copy(update={"status": "inactive"})
    told_outside(auditor, state, edited)
    (finding,) = auditor.verify().findings
    assert (finding.subject, finding.position) == (state.id, 2)
    assert "it was restored" in finding.reason


# -------------------------------------------------------------------- how much is read


def test_a_second_read_lists_only_days_that_may_have_changed(auditor: AuditHarness) -> None:
    state = auditor.account(archive=False)
    archive = WatchedArchive(auditor)
    today = auditor.platform.clock().date()

    def come(_: float) -> None:
        auditor.archive(auditor.chain(state.id))

    assert auditor.verify(sleep=come, archive=archive).findings == ()
    days = {day_prefix(today + timedelta(days=days)) for days in (-2, -1, 0, 1)}
    assert archive.listed[:2] == ["roots/", ROWS_PREFIX]
    assert set(archive.listed[2:]) == days


def test_segments_older_than_the_entity_are_not_read(auditor: AuditHarness) -> None:
    auditor.account()
    auditor.close()
    (old,) = auditor.stage.segments()
    auditor.platform.clock.advance(3 * 86_400)
    state = auditor.account({}, {}, {})
    (new,) = set(auditor.stage.segments()) - {old}
    archive = WatchedArchive(auditor)
    report = auditor.verify(state.id, archive=archive)
    assert (report.findings, report.rows, report.archived) == ((), 4, 4)
    assert (report.segments, report.roots) == (2, 1)
    assert [name for name in archive.read if name.startswith(ROWS_PREFIX)] == [new]
    assert auditor.found(only="acc_none") == []
