"""Saved queries of CloudWatch Logs Insights, in the folder `payments-<stage>` of the console.

They name fields of log lines and of the access log; a test holds that each is written there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_logs as logs
from constructs import Construct

from runtime.core.log_messages import REFUSED, SERVED

MOST_ROWS: Final = 200
EVERY_GROUP: Final[tuple[str, ...]] = ()


@dataclass(frozen=True)
class SavedQuery:
    """A query and the log groups that it begins with, by role.

    With `EVERY_GROUP` the reader chooses them by the prefix `payments-<stage>-`: groups are of
    several stacks, and a reference to each would keep all of these from being rolled back.
    """

    construct_id: str
    name: str
    groups: tuple[str, ...]
    text: str


QUERIES: Final = (
    SavedQuery(
        "TraceQuery",
        "trace of a request (replace req_)",
        EVERY_GROUP,
        "fields @timestamp, service, level, message, operation, status, code, webhook, outcome\n"
        '| filter @message like "req_"\n'
        f"| sort @timestamp asc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "ErrorsQuery",
        "errors by function",
        EVERY_GROUP,
        'filter level in ["ERROR", "CRITICAL"]\n'
        "| stats count(*) as lines, latest(@timestamp) as last by service, message\n"
        f"| sort lines desc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "SlowestQuery",
        "slowest requests",
        ("access",),
        "fields @timestamp, request_id, route, status, latency_ms, integration_latency_ms\n"
        f"| sort latency_ms desc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "DeclinesQuery",
        "declines by reason",
        ("process",),
        'filter message = "declined"\n'
        "| stats count(*) as lines by decline_code\n"
        f"| sort lines desc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "RetriesQuery",
        "conflicts and retries by operation",
        ("process", "query"),
        f'filter message = "{SERVED}"\n'
        "| stats count(*) as lines, sum(database.retries) as retried, "
        "max(database.retries) as most, avg(database.round_trips) as trips by operation\n"
        f"| sort retried desc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "RefusedQuery",
        "refused requests by reason and route",
        ("process", "query"),
        f'filter message = "{REFUSED}"\n'
        "| stats count(*) as lines by code, status, route\n"
        f"| sort lines desc | limit {MOST_ROWS}",
    ),
    SavedQuery(
        "ForbiddenQuery",
        "refused for a missing permission",
        ("process", "query"),
        "fields @timestamp, request_id, route, code\n"
        f'| filter message = "{REFUSED}" and status = 403\n'
        f"| sort @timestamp desc | limit {MOST_ROWS}",
    ),
)


def save_queries(
    scope: Construct, stage_name: str, log_groups: Mapping[str, logs.ILogGroup]
) -> None:
    """Add the queries to a stack; `log_groups` are its own, by role."""
    for query in QUERIES:
        names = [log_groups[role].log_group_name for role in query.groups]
        logs.CfnQueryDefinition(
            scope,
            query.construct_id,
            name=f"payments-{stage_name}/{query.name}",
            query_string=query.text,
            log_group_names=names or None,
        )
