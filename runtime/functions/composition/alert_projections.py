"""Projections that raise alerts from the change streams, and announce them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from runtime.alerts.announcement import AnnouncementProjection
from runtime.alerts.event_bus import EventBus
from runtime.alerts.repository import AlertRepository
from runtime.compliance.projection import RuleProjection, VelocityProjection
from runtime.compliance.repository import VelocityRepository
from runtime.compliance.rules import large_payment, large_transfer, lockout
from runtime.functions.composition.projector import Projection
from runtime.functions.composition.services import FunctionServices
from runtime.settings import ProjectSettings


def alert_projections(
    services: FunctionServices, settings: ProjectSettings
) -> Mapping[str, tuple[Projection, ...]]:
    """Alert projections by table."""
    store = services.store
    alerts, threads = AlertRepository(store), services.outside.threads
    large = settings.large_transaction_minor
    locked = RuleProjection(lockout, alerts, threads)
    return {
        "accounts": (locked,),
        "alerts": (AnnouncementProjection(EventBus(services.outside.aws.events())),),
        "customers": (locked,),
        "payments": (
            RuleProjection(partial(large_payment, threshold_minor=large), alerts, threads),
            VelocityProjection(
                VelocityRepository(store), alerts, settings.velocity_payments, threads
            ),
        ),
        "transfers": (
            RuleProjection(partial(large_transfer, threshold_minor=large), alerts, threads),
        ),
    }
