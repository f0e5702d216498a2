"""What raises alerts from the change streams, and what announces them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from runtime.bootstrap.base import FunctionServices
from runtime.domain.alert_rules import large_payment, large_transfer, lockout
from runtime.gateways.event_bus import EventBus
from runtime.repositories.alerts import AlertRepository
from runtime.repositories.velocity import VelocityRepository
from runtime.services.alerts_projection import (
    AnnouncementProjection,
    RuleProjection,
    VelocityProjection,
)
from runtime.services.projector import Projection
from runtime.settings import ProjectSettings


def alert_projections(
    services: FunctionServices, settings: ProjectSettings
) -> Mapping[str, tuple[Projection, ...]]:
    """The projections of each table whose changes raise alerts, or are alerts."""
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
