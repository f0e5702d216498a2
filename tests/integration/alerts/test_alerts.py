"""Alerts: one row per type, entity and window, however often and by how many it is raised."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runtime.alerts.models import Alert, AlertFacts, AlertType, Window
from runtime.alerts.raising import raise_alert
from runtime.alerts.repository import AlertRepository
from runtime.core.scope import UNRESTRICTED, Scope
from tests.support.fakes import START
from tests.support.platform import Platform, at_once

LATER = START + timedelta(seconds=7)


def raised(platform: Platform, **changes: Any) -> bool:
    values: dict[str, Any] = {
        "entity_type": "account",
        "entity_id": "acc_1",
        "merchant_id": "mer_1",
        "detail": {"amount": 5, "names": ["balance"]},
        "at": START,
        **changes,
    }
    return raise_alert(AlertFacts(AlertType.OUT_OF_BAND, **values), AlertRepository(platform.store))


def test_raising_an_alert_again_returns_the_existing_row(either_world: Platform) -> None:
    platform = either_world
    assert raised(platform)
    assert not raised(platform, detail={"amount": 6})
    (row,) = platform.rows(Alert)
    assert row.created_at == "2026-03-14T09:00:00.000Z"
    assert row.detail == {"entity_type": "account", "amount": 5, "names": ["balance"]}


def test_raising_one_alert_many_times_at_once_creates_one(either_world: Platform) -> None:
    outcomes = at_once(*[lambda: raised(either_world)] * 8)
    assert sorted(outcomes) == [False] * 7 + [True]
    assert len(either_world.rows(Alert)) == 1


def test_an_alert_is_raised_once_in_its_window_and_shows_when_it_was_raised(
    platform: Platform,
) -> None:
    day = Window(START.replace(hour=0), "email")
    assert raised(platform, at=START, window=day)
    assert not raised(platform, at=LATER, window=day)
    assert raised(platform, at=LATER, window=Window(day.begin, "phone"))
    assert raised(platform, at=LATER, window=Window(day.begin + timedelta(days=1), "email"))
    assert raised(platform, at=LATER, window=day, entity_id="acc_2")
    assert len({row.id for row in platform.rows(Alert)}) == 4


def test_alerts_are_listed_in_order_of_time_for_their_merchant_and_for_operators(
    either_world: Platform,
) -> None:
    alerts = AlertRepository(either_world.store)
    for number in range(40):
        owner = f"mer_{number % 2}"
        at = START + timedelta(seconds=number // 4)  # several at one time
        raised(either_world, entity_id=f"acc_{number}", merchant_id=owner, at=at)
    in_order = sorted(either_world.rows(Alert), key=lambda row: row.listed_at, reverse=True)
    everything = list(alerts.newest_first(None, before=None, page_size=3))
    assert [entry.id for entry in everything] == [row.id for row in in_order]
    mine = [row.id for row in in_order if row.merchant_id == "mer_1"]
    listed = list(alerts.newest_first("mer_1", before=None, page_size=3))
    assert [entry.id for entry in listed] == mine
    rest = alerts.newest_first("mer_1", before=listed[6].listed_at, page_size=3)
    assert [entry.id for entry in rest] == mine[7:]
    everybodys = alerts.get_many([row.id for row in in_order], UNRESTRICTED)
    assert [row.id for row in everybodys] == [row.id for row in in_order]
    assert [row.id for row in alerts.get_many([r.id for r in in_order], Scope("mer_1"))] == mine
