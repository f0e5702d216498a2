"""Which changes in the archive of the audit log were made outside the application."""

from __future__ import annotations

import pytest

from runtime.verification.changes.feed import ArchivedChange


@pytest.mark.parametrize(
    ("sequence", "action", "is_irregular"),
    [
        ("000000000007", "balance_credited", False),
        ("000000000007#0000000000000000000000000000000000000100", "rebuilt", True),
        ("000000000007#0000000000000000000000000000000000000100", "out_of_band", True),
        ("000000000001", "out_of_band", True),  # it begins the chain
    ],
)
def test_changes_outside_the_application_are_irregular(
    sequence: str, action: str, is_irregular: bool
) -> None:
    change = ArchivedChange(
        entity_id="acc_a#07",
        sequence=sequence,
        action=action,
        entity_type="account",
        timestamp="2026-03-14T09:00:00.000Z",
    )
    assert change.is_irregular is is_irregular
