"""The stored state of a verification is the same in every process."""

from __future__ import annotations

import json

from runtime.verification.segments import Phase, RunState, SegmentState

DRILLS = {Phase.DRILL_SETTLED, Phase.DRILL_HELD, Phase.DRILL_ENTRIES, Phase.DRILL_LINES}


def test_drills_are_stored_in_order_and_read_again() -> None:
    for state in (
        SegmentState(direct=set(DRILLS)),
        RunState(run_id="prf_1", cut="2026-03-14T09:00:00.000Z", direct=set(DRILLS)),
    ):
        stored = state.model_dump_json()
        assert json.loads(stored)["direct"] == sorted(DRILLS)
        assert type(state).model_validate_json(stored).direct == DRILLS
