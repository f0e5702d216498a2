"""Operational alerts: raised once each, without failing the operation."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runtime.alerts.models import Alert, AlertType
from runtime.alerts.operational_alerts import OperationalAlerts, UnknownOutcome
from runtime.alerts.repository import AlertRepository
from runtime.core.errors import (
    DecryptionFailure,
    EncryptedField,
    IntegrityError,
    KeyForgotten,
    Unavailable,
)
from runtime.core.fields import PLATFORM
from runtime.payments.models import Payment
from runtime.payments.resolution.resolver import unknown_outcome_of
from tests.support.engines.faults import Fault, Faults, at_call
from tests.support.outside import new_id
from tests.support.platform import Platform

NAME = EncryptedField("customers", "cus_1", "name", "mer_1")
EMAIL = EncryptedField("customers", "cus_1", "email", "mer_1")


def failure(
    place: EncryptedField | None, kind: type[IntegrityError] | type[KeyForgotten] = IntegrityError
) -> DecryptionFailure:
    error = kind("the ciphertext cannot be decrypted")
    error.place = place
    return error


def test_a_decryption_failure_is_one_alert_a_day_per_place(platform: Platform) -> None:
    operational_alerts = platform.operational_alerts()
    for _ in range(3):
        for place in (NAME, EMAIL, None):
            operational_alerts.decryption_failed(failure(place))
        platform.clock.advance(3600)
    rows = platform.rows(Alert)
    assert {(row.entity_id, row.merchant_id) for row in rows} == {
        ("cus_1", "mer_1"),
        ("integrity_error", "platform"),
    }
    assert len(rows) == 3
    platform.clock.advance(86_400)
    operational_alerts.decryption_failed(failure(NAME, KeyForgotten))
    assert len(platform.rows(Alert)) == 4
    assert {row.type for row in platform.rows(Alert)} == {AlertType.DECRYPTION_FAILURE}


def test_an_alert_that_cannot_be_raised_does_not_fail_the_caller(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    client = Faults(at_call("PutItem", 1, Fault.THROTTLED)).attach(platform.engine.dynamodb())
    impatient = platform.store_on(client, remaining_seconds=lambda: 0.0)
    OperationalAlerts(lambda: AlertRepository(impatient), platform.clock).decryption_failed(
        failure(NAME)
    )

    def nowhere() -> AlertRepository:
        raise Unavailable("the database is busy")

    OperationalAlerts(nowhere, platform.clock).decryption_failed(failure(NAME))
    platform.operational_alerts().unknown_too_old("pay_1", nowhere, platform.clock())  # type: ignore[arg-type]
    assert platform.rows(Alert) == []
    message = "an operational alert could not be raised"
    assert caplog.messages.count(message) == 3


def test_an_operation_that_is_too_old_is_one_alert_however_often_it_is_found(
    platform: Platform,
) -> None:
    merchant = platform.merchant()
    payment_id = platform.paid(merchant)
    payment = platform.payment()
    since = platform.clock()
    for _ in range(3):
        platform.operational_alerts().unknown_too_old(
            payment_id, lambda: unknown_outcome_of(payment), since
        )
    platform.operational_alerts().unknown_too_old(payment_id, lambda: None, since)
    (row,) = platform.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.UNKNOWN_TOO_OLD, payment_id)
    assert row.detail == {"entity_type": "payment", "amount": 1000, "currency": "USD"}
    later = payment.model_copy(update={"id": new_id("pay", since + timedelta(days=1))})
    platform.operational_alerts().unknown_too_old(
        later.id, lambda: unknown_outcome_of(later), since + timedelta(days=1)
    )
    assert len(platform.rows(Alert)) == 2


def test_an_old_operation_whose_row_cannot_be_read_is_alerted_too(platform: Platform) -> None:
    def unreadable() -> UnknownOutcome:
        return unknown_outcome_of(Payment.model_validate({"id": "pay_1"}))

    since = platform.clock()
    for _ in range(2):
        platform.operational_alerts().unknown_too_old("pay_1", unreadable, since)
    (row,) = platform.rows(Alert)
    assert (row.type, row.entity_id) == (AlertType.UNKNOWN_TOO_OLD, "pay_1")
    assert row.merchant_id == PLATFORM
    assert row.detail == {"entity_type": "payment", "reason": "the row cannot be read"}
