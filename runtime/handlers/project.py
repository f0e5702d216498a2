"""The tables' change streams: everything that is derived from them (services/projector.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.project import project_services
from runtime.observability import logger
from runtime.services.projector import Kind, StreamRecord


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Project a batch of records.

    Answers the first record that could not be done: Lambda sends it again with all after it
    (Lambda Developer Guide, "Partial batch response" for DynamoDB streams).
    """
    services = project_services()
    services.begin(context)
    records = [_record(each, services.names_by_table) for each in event["Records"]]
    failed = services.projector.apply(records)
    strangers = failed - {record.sequence_number for record in records}
    assert not strangers, f"{sorted(strangers)} failed, and are not in the batch"
    first = next((r.sequence_number for r in records if r.sequence_number in failed), None)
    logger.info(
        "projected",
        records=dict(Counter(record.table for record in records)),
        failed=len(failed),
    )
    return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


def _record(raw: Mapping[str, Any], names_by_table: Mapping[str, str]) -> StreamRecord:
    """A record as Lambda hands it over. Raises KeyError for a table that is not ours."""
    image = raw["dynamodb"]
    table = raw["eventSourceARN"].partition(":table/")[2].partition("/")[0]
    return StreamRecord(
        table=names_by_table[table],
        kind=Kind(raw["eventName"]),
        sequence_number=image["SequenceNumber"],
        old=image.get("OldImage"),
        new=image.get("NewImage"),
        raw=raw,
    )
