"""Alerts about our own troubles: once each, and never at the cost of what was being done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.errors import IntegrityError, KeyForgotten, SealedPlace, Unavailable, Unopenable
from runtime.models.alert import Alert, AlertType
from runtime.models.fields import PLATFORM
from runtime.models.payment import Payment
from runtime.repositories.alerts import AlertRepository
from runtime.services.payment_resolution import unknown_outcome_of
from runtime.services.trouble import TroubleReports, UnknownOutcome
from tests.support.faults import Fault, Faults, at_call
from tests.support.outside import new_id
from tests.support.world import World

NAME = SealedPlace("customers", "cus_1", "name", "mer_1")
EMAIL = SealedPlace("customers", "cus_1", "email", "mer_1")


def failure(
    place: SealedPlace | None, kind: type[IntegrityError] | type[KeyForgotten] = IntegrityError
) -> Unopenable:
    error = kind("it does not open")
    error.place = place
    return error


def test_a_field_that_does_not_open_is_one_alert_a_day_for_each_place(world: World) -> None:
    trouble = world.trouble()
    for _ in range(3):
        for place in (NAME, EMAIL, None):
            trouble.unopened(failure(place))
        world.clock.advance(3600)
    rows = world.rows(Alert)
    assert {(row.entity_id, row.merchant_id) for row in rows} == {
        ("cus_1", "mer_1"),
        ("integrity_error", "platform"),
    }
    assert len(rows) == 3
    world.clock.advance(86_400)
    trouble.unopened(failure(NAME, KeyForgotten))
    assert len(world.rows(Alert)) == 4
    assert {row.type for row in world.rows(Alert)} == {AlertType.DECRYPTION_FAILURE}


def test_an_alert_that_cannot_be_raised_is_forgotten_without_a_word_to_the_caller(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = Faults(at_call("PutItem", 1, Fault.THROTTLED)).attach(world.engine.dynamodb())
    impatient = world.store_on(client, remaining_seconds=lambda: 0.0)
    TroubleReports(lambda: AlertRepository(impatient), world.clock).unopened(failure(NAME))

    def nowhere() -> AlertRepository:
        raise Unavailable("the database is busy")

    TroubleReports(nowhere, world.clock).unopened(failure(NAME))
    world.trouble().unknown_too_old("pay_1", nowhere, world.clock())  # type: ignore[arg-type]
    assert world.rows(Alert) == []
    message = "an alert of our own trouble could not be raised"
    assert caplog.messages.count(message) == 3


def test_what_became_too_old_is_one_alert_however_often_it_is_met(world: World) -> None:
    merchant = world.merchant()
    payment_id = world.paid(merchant)
    payment = world.payment()
    since = world.clock()
    for _ in range(3):
        world.trouble().unknown_too_old(payment_id, lambda: unknown_outcome_of(payment), since)
    world.trouble().unknown_too_old(payment_id, lambda: None, since)
    (row,) = world.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.UNKNOWN_TOO_OLD, payment_id)
    assert row.detail == {"entity_type": "payment", "amount": 1000, "currency": "USD"}
    later = payment.model_copy(update={"id": new_id("pay", since + timedelta(days=1))})
    world.trouble().unknown_too_old(
        later.id, lambda: unknown_outcome_of(later), since + timedelta(days=1)
    )
    assert len(world.rows(Alert)) == 2


def test_what_is_too_old_and_cannot_even_be_read_is_told_all_the_same(world: World) -> None:
    def unreadable() -> UnknownOutcome:
        return unknown_outcome_of(Payment.model_validate({"id": "pay_1"}))

    since = world.clock()
    for _ in range(2):
        world.trouble().unknown_too_old("pay_1", unreadable, since)
    (row,) = world.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.UNKNOWN_TOO_OLD, "pay_1")
    assert row.merchant_id == PLATFORM
    assert row.detail == {"entity_type": "payment", "reason": "its row cannot be read"}
