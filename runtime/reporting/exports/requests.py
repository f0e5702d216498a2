"""Requesting an export: the job's row is written, and its stream queues it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain, islice
from typing import Final

from pydantic import ValidationError

from runtime.core.errors import InvalidValue, TooManyExports
from runtime.core.fields import PLATFORM
from runtime.core.scope import Scope
from runtime.core.timestamps import to_epoch_seconds, to_timestamp
from runtime.customers.repository import CustomerRepository
from runtime.http.caller import require_found
from runtime.http.field_errors import flaws_of
from runtime.http.request_context import Call
from runtime.http.responses import StoredAnswer
from runtime.http.shapes import Query
from runtime.idempotency.claims import ClaimReader, create_once
from runtime.idempotency.models import IdempotencyRecord
from runtime.ledger.accounts.repository import AccountRepository
from runtime.merchants.profiles import MerchantProfiles
from runtime.payments.queries import window_of
from runtime.payments.repository import PaymentRepository
from runtime.reporting.exports.api import FILTERS, ExportRequest, filter_names
from runtime.reporting.exports.jobs import KEPT, open_status
from runtime.reporting.exports.models import Export, ExportFormat, ExportKind, ExportStatus
from runtime.reporting.exports.queries import export_answer
from runtime.reporting.exports.repository import ExportRepository

MAX_OPEN: Final = 20
"""Open exports of one owner; approximate, because their index lags a moment."""
RETRY_SECONDS: Final = 60
_OF_THE_PLATFORM: Final = frozenset({ExportKind.TRANSFERS, ExportKind.ENTRIES, ExportKind.AUDIT})
"""Kinds with rows of the platform itself."""


@dataclass(frozen=True)
class ExportRequests:
    """Dependencies of requesting exports."""

    exports: ExportRepository
    merchants: MerchantProfiles
    customers: CustomerRepository
    accounts: AccountRepository
    payments: PaymentRepository
    claims: ClaimReader


def create_export(request: ExportRequest, call: Call, dependencies: ExportRequests) -> StoredAnswer:
    """Request a list as a file: 202.

    Raises NotFound for another owner's resource, InvalidValue for a filter that the kind does not
    have or an invalid value, TooManyExports.
    """
    owner = _owner(request.kind, call)
    buckets = dependencies.merchants.index_buckets(owner)
    if request.format is ExportFormat.BEANCOUNT and request.kind is not ExportKind.ENTRIES:
        raise InvalidValue(
            f"The format beancount is for entries only; use csv or jsonl for {request.kind}",
            param="format",
        )
    query = _judged(request, call)
    _must_exist(request, Scope(None if owner == PLATFORM else owner), dependencies)
    export = _row(request, owner, _canonical(query), call)

    def store(claim: IdempotencyRecord | None, token: str) -> None:
        _leave_room(owner, dependencies.exports)
        dependencies.exports.create(export, claim, token=token, now=call.now)

    return create_once(
        call,
        owner,
        export_answer(export),
        store,
        claims=dependencies.claims,
        index_buckets=buckets,
        status=HTTPStatus.ACCEPTED,
    )


def _owner(kind: ExportKind, call: Call) -> str:
    if kind in _OF_THE_PLATFORM:
        return call.caller.owner(call.acting_for)
    return call.caller.merchant(call.acting_for)


def _judged(request: ExportRequest, call: Call) -> Query:
    """The filters in the form of the kind's own list."""
    given, known = request.filters(), filter_names(request.kind)
    shape = FILTERS[request.kind]
    for name in given:
        if name not in known:
            raise InvalidValue(
                f"{name} does not filter {request.kind}; use {', '.join(known)}", param=name
            )
    try:
        query = shape.model_validate(given)
    except ValidationError as error:
        fields = [flaw.field for flaw in flaws_of(error, given, shape, in_query=True)]
        raise InvalidValue(fields[0].detail, param=fields[0].param, errors=fields) from None
    window_of(request.start_date, request.end_date, call.now)
    return query


def _canonical(query: Query) -> dict[str, str]:
    values = query.model_dump(mode="json", exclude_none=True, exclude={"limit", "cursor"})
    return {name: str(value) for name, value in values.items()}


def _must_exist(request: ExportRequest, scope: Scope, dependencies: ExportRequests) -> None:
    """Check that a resource is the caller's. The worker checks entities and settlements."""
    if request.customer_id is not None:
        require_found(
            dependencies.customers.owner(request.customer_id, scope),
            "customer",
            request.customer_id,
        )
    if request.account_id is not None:
        require_found(
            dependencies.accounts.get(request.account_id, scope), "account", request.account_id
        )
    if request.payment_id is not None:
        require_found(
            dependencies.payments.get(request.payment_id, scope), "payment", request.payment_id
        )


def _leave_room(owner: str, exports: ExportRepository) -> None:
    queues = (open_status(owner, each) for each in (ExportStatus.QUEUED, ExportStatus.RUNNING))
    entries = chain.from_iterable(
        exports.newest_first("gsi-status", key, after_id=None, page_size=MAX_OPEN) for key in queues
    )
    if len(list(islice(entries, MAX_OPEN))) == MAX_OPEN:
        raise TooManyExports(
            f"{MAX_OPEN} exports are queued or running; try again when some are completed",
            retry_after_seconds=RETRY_SECONDS,
        )


def _row(request: ExportRequest, owner: str, filters: dict[str, str], call: Call) -> Export:
    now = to_timestamp(call.now)
    return Export(
        id=call.new_id("exp"),
        merchant_id=owner,
        open_status=open_status(owner, ExportStatus.QUEUED),
        kind=request.kind,
        format=request.format,
        filters=filters,
        until=now,
        requested_by=call.caller.subject,
        expires_at=to_epoch_seconds(call.now + KEPT),
        created_at=now,
        updated_at=now,
        **call.caller.change(cause=call.caller.request_id).stamp(),
    )
