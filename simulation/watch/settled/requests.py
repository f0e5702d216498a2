"""One id per request: in its answer, in the audit rows of its changes, and in their list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import groupby
from typing import Final, NamedTuple

from runtime.audit.models import DICTIONARY
from runtime.dynamodb.packing import unpack
from simulation.platform.history import Exchange
from simulation.watch.requests import RequestRule
from simulation.watch.settled.rows import Faults, Rows
from simulation.watch.values import Item, text

_REQUEST: Final = "req_"
_RELATED: Final = ("pay", "txn", "trf")
"""Prefixes of ids that differ in them alone where rows were stored in one commit."""


class _Row(NamedTuple):
    entity: str
    sequence: str
    request: str
    listed: str
    is_alone: bool


def request_faults(
    exchanges: Iterable[Exchange], rule: RequestRule, rows: Rows, edited: Set[str]
) -> Faults:
    """Answers, audit rows and the list of a request that do not have one id."""
    for exchange in exchanges:
        answer = exchange.response
        if answer is None or answer.by_gateway:
            continue
        given = answer.headers.get("X-Request-Id")
        if given != exchange.request_id:
            yield f"{exchange.request_id} was answered with the id {given}"
    found = sorted(_row(each) for each in rows.of("audit_log"))
    yield from _unlike_their_changes(found, rule, edited)
    yield from _unlisted(found)


def _unlike_their_changes(found: list[_Row], rule: RequestRule, edited: Set[str]) -> Faults:
    for row in found:
        if "#" in row.sequence or "#" in row.entity or row.entity in edited or not row.request:
            continue
        made_by = rule.by_version.get((row.entity, int(row.sequence)))
        if row.request != made_by:
            yield f"the audit row {row.sequence} of {row.entity} names {row.request}, not {made_by}"


def _unlisted(found: list[_Row]) -> Iterator[str]:
    """Rows of requests that the list of their request does not lead to."""
    reached: set[tuple[str, str]] = set()
    missing: list[_Row] = []
    for entity, chain in groupby(found, key=lambda row: row.entity):
        leads_from = ""
        for row in chain:
            leads_from = row.listed or (leads_from if leads_from == row.request else "")
            if row.listed not in ("", row.request):
                yield f"{entity} is in the list of {row.listed}, but {row.request} changed it"
            if leads_from:
                reached.add((entity, row.request))
            elif row.request.startswith(_REQUEST):
                missing.append(row)
    for row in missing:
        own = row.entity.partition("_")[2]
        if row.is_alone or not any((f"{kind}_{own}", row.request) in reached for kind in _RELATED):
            yield f"{row.entity} is missing in the list of {row.request}"


def _row(item: Item) -> _Row:
    packed = item.get("packed", {}).get("B")
    values = {} if packed is None else unpack(bytes(packed), DICTIONARY)
    request = str(values.get("request_id", "")) or text(item, "request_id")
    return _Row(
        text(item, "entity_id"),
        text(item, "sequence"),
        request,
        text(item, "listed_request"),
        is_alone=bool(text(item, "user_bucket")),
    )
