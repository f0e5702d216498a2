"""`make proof` shows the progress of each phase."""

from __future__ import annotations

from operations.verify_ledger import TABLE_OF
from runtime.verification.segments import Phase


def test_every_reading_phase_shows_its_table() -> None:
    assert set(TABLE_OF) == set(Phase) - {Phase.CHANGES, Phase.DONE}
