"""`make proof` shows how far each phase is."""

from __future__ import annotations

from operations.verify_ledger import TABLE_OF
from runtime.verification.segments import Phase


def test_every_phase_that_reads_says_which_table() -> None:
    assert set(TABLE_OF) == set(Phase) - {Phase.DONE}
