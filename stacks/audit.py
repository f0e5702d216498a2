"""The audit log's archive: every row in immutable storage, under signed roots."""

from __future__ import annotations

from typing import Final, Unpack

from constructs import Construct

from stacks.base_stack import FunctionsStack, FunctionsStackProps
from stacks.constructs.service_function import ServiceFunction
from stacks.constructs.stream_source import StreamSource
from stacks.scheduled_workers import AUDIT

SEGMENT_ROWS: Final = 5_000
"""Rows of one batch, so of one object; Lambda cuts it at 6 MB, which is about as many."""
OLDEST_UNARCHIVED_SECONDS: Final = 300


class AuditStack(FunctionsStack):
    """Archive: fed by the audit log's stream, and by a schedule that signs roots."""

    def __init__(
        self, scope: Construct, construct_id: str, **props: Unpack[FunctionsStackProps]
    ) -> None:
        super().__init__(scope, construct_id, **props)
        functions = self._scheduled(AUDIT)
        self._feed_from_stream(functions["archive"])
        self._write_outputs(functions)

    def _feed_from_stream(self, archive: ServiceFunction) -> None:
        table = self._data.tables["audit_log"].table
        assert table.table_stream_arn is not None  # noqa: S101 - declared on the model
        StreamSource(
            self,
            "RowsStream",
            stream_arn=table.table_stream_arn,
            target=archive.live,
            failed_batches=self._data.failed_batches_bucket,
            batch_records=SEGMENT_ROWS,
            window_seconds=self._stage.stream_windows["audit_log"],
            parallel_batches=1,
            alarms=self._alarms,
        )
        self._alarms.iterator_age(
            self,
            "RowsLag",
            function=archive.function,
            oldest_seconds=OLDEST_UNARCHIVED_SECONDS,
        )
