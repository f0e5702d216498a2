"""Webhook endpoints as the API shows them. Pure."""

from __future__ import annotations

from datetime import datetime

from runtime.core.timestamps import to_timestamp
from runtime.merchants.models import EndpointProfile, WebhookEndpoint
from runtime.merchants.webhook_endpoints import EndpointStatus
from runtime.webhooks.endpoints.api import (
    EndpointAnswer,
    EndpointCondition,
    EndpointHealthAnswer,
    NewEndpoint,
)
from runtime.webhooks.models import SUBSCRIBABLE, EndpointHealth
from runtime.webhooks.schedule import remembered


def endpoint_answer(
    endpoint: EndpointProfile, health: EndpointHealth | None, now: datetime
) -> EndpointAnswer:
    """The API shape of an endpoint; `health` None: it has never failed."""
    seen = _health_answer(health, now)
    is_gone = seen.condition is EndpointCondition.GONE
    return EndpointAnswer(
        id=endpoint.id,
        merchant_id=endpoint.merchant_id,
        url=endpoint.url,
        events=endpoint.events or tuple(each.value for each in SUBSCRIBABLE),
        description=endpoint.description,
        status=EndpointStatus.DISABLED if is_gone else endpoint.status,
        health=seen,
        version=endpoint.version,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
    )


def _health_answer(health: EndpointHealth | None, now: datetime) -> EndpointHealthAnswer:
    if health is None:
        return EndpointHealthAnswer(
            condition=EndpointCondition.HEALTHY, consecutive_failures=0, paused_until=None
        )
    health = remembered(health, now)
    until = health.open_until if (health.open_until or "") > to_timestamp(now) else None
    if health.gone_at is not None:
        condition = EndpointCondition.GONE
    elif until is not None:
        condition = EndpointCondition.PAUSED
    elif health.failures:
        condition = EndpointCondition.FAILING
    else:
        condition = EndpointCondition.HEALTHY
    return EndpointHealthAnswer(
        condition=condition, consecutive_failures=health.failures, paused_until=until
    )


def with_secret(
    endpoint: WebhookEndpoint, health: EndpointHealth | None, now: datetime
) -> NewEndpoint:
    """The API shape of an endpoint that shows its secret."""
    shown = endpoint_answer(endpoint, health, now)
    return NewEndpoint(**dict(shown), secret=endpoint.secret)
