"""API shapes of alerts."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from runtime.alerts.models import AlertType, Detail
from runtime.core.fields import Timestamp
from runtime.http.endpoint import Endpoint, Permission
from runtime.http.shapes import Answer, Page, PageQuery


class AlertQuery(PageQuery, frozen=True):
    """Alerts have no filters of their own."""


class AlertAnswer(Answer, frozen=True):
    """One alert. The event on EventBridge has the same detail."""

    id: str
    type: AlertType
    merchant_id: str
    entity_id: str
    detail: Annotated[
        Detail,
        Field(description="`entity_type` and the facts of the type; amounts in minor units."),
    ]
    created_at: Timestamp


class AlertList(Page[AlertAnswer], frozen=True):
    """A page of alerts."""


ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint(
        operation="listAlerts",
        method="GET",
        path="/v1/alerts",
        function="query",
        summary="List alerts, newest first: a merchant's own, or all for an operator",
        tag="alerts",
        permission=Permission.REPORTS,
        query=AlertQuery,
        answers={HTTPStatus.OK: AlertList},
    ),
)
