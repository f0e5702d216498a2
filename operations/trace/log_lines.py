"""Log lines that name one of some ids: of the local stage, and in AWS by Logs Insights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from local.errors import LocalError
from operations.trace.story import LogLine, moment_of_milliseconds, names_one_of

QUERY_SECONDS: Final = 120.0
"""How long one query may take; Logs Insights itself ends queries after 60 minutes (CloudWatch Logs
User Guide, "CloudWatch Logs quotas")."""
POLL_SECONDS: Final = 1.0
MOST_LINES: Final = 10_000
"""The most that one query returns (CloudWatch Logs User Guide, "limit")."""
MOST_GROUPS: Final = 50
"""Log groups of one query (CloudWatch Logs API reference, StartQuery)."""
_UNFINISHED: Final = ("Scheduled", "Running", "Unknown")

Groups = Mapping[str, str]
"""The function of each log group, by its role."""


class LogSource(Protocol):
    """Finds log lines."""

    def lines(
        self, groups: Groups, ids: Sequence[str], start: datetime, end: datetime
    ) -> list[LogLine]:
        """Lines of these groups between two times that name one of the ids. Raises LocalError."""
        ...


def groups_of(functions: Mapping[str, str], client: Any) -> dict[str, str]:
    """The log groups of functions, given by role, with a client for Lambda."""
    groups: dict[str, str] = {}
    for role, name in functions.items():
        configuration = client.get_function_configuration(FunctionName=name)
        groups[configuration["LoggingConfig"]["LogGroup"]] = role
    return groups


@dataclass(frozen=True)
class FilteredLogs:
    """Every event of the groups, searched here: for the local stage, which has few."""

    client: Any

    def lines(
        self, groups: Groups, ids: Sequence[str], start: datetime, end: datetime
    ) -> list[LogLine]:
        """As LogSource."""
        found: list[LogLine] = []
        for group, function in groups.items():
            pages = self.client.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=_milliseconds(start), endTime=_milliseconds(end)
            )
            found += [
                LogLine.of(moment_of_milliseconds(event["timestamp"]), function, event["message"])
                for page in pages
                for event in page["events"]
                if names_one_of(event["message"], ids)
            ]
        return found


@dataclass(frozen=True)
class InsightsLogs:
    """CloudWatch Logs Insights over all groups at once."""

    client: Any
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def lines(
        self, groups: Groups, ids: Sequence[str], start: datetime, end: datetime
    ) -> list[LogLine]:
        """As LogSource. Raises LocalError for a query that fails or does not end in time."""
        names, found = list(groups), []
        for first in range(0, len(names), MOST_GROUPS):
            rows = self._results(names[first : first + MOST_GROUPS], ids, start, end)
            found += [_line(row, groups) for row in rows]
        return found

    def _results(
        self, groups: list[str], ids: Sequence[str], start: datetime, end: datetime
    ) -> list[dict[str, str]]:
        query = self.client.start_query(
            logGroupNames=groups,
            startTime=int(start.timestamp()),
            endTime=int(end.timestamp()) + 1,
            queryString=query_for(ids),
        )["queryId"]
        ends = self.monotonic() + QUERY_SECONDS
        while (answer := self.client.get_query_results(queryId=query))["status"] in _UNFINISHED:
            if self.monotonic() >= ends:
                self.client.stop_query(queryId=query)
                raise LocalError(
                    f"The search of the log did not end within {QUERY_SECONDS:.0f} s.",
                    hint="Search a shorter time: SINCE=HOURS.",
                )
            self.sleep(POLL_SECONDS)
        if answer["status"] != "Complete":
            raise LocalError(
                f"The search of the log ended as {answer['status']}.", hint="Run it again."
            )
        if len(answer["results"]) >= MOST_LINES:
            raise LocalError(
                f"More than {MOST_LINES} log lines name these ids.",
                hint="Search a shorter time: SINCE=HOURS.",
            )
        return [{each["field"]: each["value"] for each in row} for row in answer["results"]]


def query_for(ids: Sequence[str]) -> str:
    """The Logs Insights query for lines that name one of the ids; they must have been checked."""
    named = " or ".join(f'@message like "{each}"' for each in ids)
    return (
        f"fields @timestamp, @log, @message | filter {named} "
        f"| sort @timestamp asc | limit {MOST_LINES}"
    )


def _line(row: Mapping[str, str], groups: Groups) -> LogLine:
    at = datetime.fromisoformat(row["@timestamp"]).replace(tzinfo=UTC)
    group = row["@log"].partition(":")[2]  # "account:group"
    return LogLine.of(at, groups.get(group, group), row["@message"])


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
