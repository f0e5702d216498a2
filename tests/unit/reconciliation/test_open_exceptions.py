"""The tally of open exceptions adds up, and knows the oldest one."""

from __future__ import annotations

from datetime import date

from runtime.reconciliation.settlements.line_keys import exception_key
from runtime.reconciliation.settlements.models import LineStatus
from runtime.reconciliation.unsettled.open_exceptions import OpenExceptions

TODAY = date(2026, 12, 10)


def keys(*days: str) -> list[str]:
    return [
        exception_key(LineStatus.MISSING if number % 2 else LineStatus.UNEXPECTED, day, "stl_1", 7)
        for number, day in enumerate(days)
    ]


def test_the_oldest_day_counts_whatever_the_status() -> None:
    tally = OpenExceptions.of(keys("2026-12-03", "2026-12-01", "2026-12-02"))
    assert tally == OpenExceptions(3, "2026-12-01")
    assert tally.age_days(TODAY) == 9


def test_tallies_add_up() -> None:
    one, other = OpenExceptions.of(keys("2026-12-03")), OpenExceptions.of(keys("2026-12-02"))
    assert one + other + OpenExceptions() == OpenExceptions(2, "2026-12-02")


def test_nothing_has_no_age() -> None:
    assert OpenExceptions.of(()) == OpenExceptions(0, None)
    assert OpenExceptions().age_days(TODAY) == 0


def test_a_settlement_dated_in_the_future_has_no_age() -> None:
    assert OpenExceptions.of(keys("2026-12-11")).age_days(TODAY) == 0
