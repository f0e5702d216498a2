"""From an HTTP event to a validated request; checks in the order 403, 400/413/415, 422."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError

from runtime.core.echo import echoed, echoed_path
from runtime.core.errors import (
    AmountTooLarge,
    CardDataRefused,
    ConflictingIdempotencyKeys,
    Forbidden,
    InvalidParameter,
    InvalidValue,
    MalformedJson,
    MissingIdempotencyKey,
    NotFound,
    PayloadTooLarge,
    PlatformError,
    Unauthorized,
    UnknownField,
    UnknownParameter,
)
from runtime.core.outside import Outside
from runtime.functions.form_body import form_body
from runtime.functions.json_body import NOT_JSON, json_body, raw_body
from runtime.http.caller import Caller
from runtime.http.card_data import find_card_data
from runtime.http.endpoint import Endpoint
from runtime.http.event import HttpEvent
from runtime.http.field_errors import MAX_FIELD_ERRORS, flaws_of, path_text
from runtime.http.gateway_identity import caller_of, user_agent_of
from runtime.http.request_context import Call
from runtime.http.responses import STORED_TYPES
from runtime.http.shapes import IDENTIFIER, MAX_IDEMPOTENCY_KEY, Body, IdempotencyKey, Query
from runtime.idempotency.rules import fingerprint
from runtime.payments.disputes.api import EventQuery

if TYPE_CHECKING:
    from runtime.payments.disputes.processor_webhooks import Notification

MAX_NOTIFICATION_BYTES = 256 * 1024
"""Far above the size of processor events, which carry one object."""

Shape = TypeVar("Shape", bound=BaseModel)
_key = TypeAdapter(IdempotencyKey)


@dataclass(frozen=True, slots=True)
class Links:
    """What links in answers begin with."""

    api_url: str = ""
    error_types: str = STORED_TYPES


@dataclass(frozen=True, slots=True)
class Request:
    """A validated request. `path` has the path parameters by name.

    `headers` are only set on public routes, with lower-case names, and so is `request_id`.
    """

    endpoint: Endpoint
    path: Mapping[str, str]
    call: Call | None
    raw_body: BaseModel | None
    raw_query: BaseModel | None
    raw_notification: Notification | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""

    @property
    def path_id(self) -> str:
        """The path parameter {id}."""
        return self.path["id"]

    @property
    def authenticated(self) -> Call:
        """The call; only on routes that are not public."""
        assert self.call is not None, f"{self.endpoint.operation} is public"
        return self.call

    @property
    def notification(self) -> Notification:
        """The processor's notification as received."""
        assert self.raw_notification is not None, f"{self.endpoint.operation} has no notification"
        return self.raw_notification

    def body(self, shape: type[Shape]) -> Shape:
        """The validated body."""
        assert isinstance(self.raw_body, shape), f"{self.endpoint.operation} has no {shape} body"
        return self.raw_body

    def query(self, shape: type[Shape]) -> Shape:
        """The validated query string."""
        assert isinstance(self.raw_query, shape), f"{self.endpoint.operation} has no {shape} query"
        return self.raw_query


def nothing_at(path: str) -> str:
    """The message for a path without a route, or with an invalid id."""
    return f"There is nothing at {echoed_path(path)}"


def authenticate(endpoint: Endpoint | None, event: HttpEvent, now_seconds: float) -> Caller | None:
    """The caller; None on a public endpoint alone. Raises Unauthorized, Unavailable.

    A request for an unknown endpoint (None) must be authenticated, too: what exists is not shown to
    strangers.
    """
    if endpoint is not None and endpoint.public:
        return None
    return caller_of(event, now_seconds)


def read_request(
    endpoint: Endpoint,
    event: HttpEvent,
    members: Mapping[str, str],
    caller: Caller | None,
    outside: Outside,
    links: Links = Links(),
) -> Request:
    """Validate a request; `members` are its path parameters, `caller` comes from `authenticate`.

    `links` are for what the request creates or refuses.

    Raises the PlatformError of the first failed check.
    """
    if caller is None and not endpoint.public:
        raise Unauthorized.missing()
    now = outside.now()
    if caller is not None:
        _refuse_forbidden(endpoint, caller, event)
    if not all(re.fullmatch(IDENTIFIER, each) for each in members.values()):
        raise NotFound(nothing_at(event.path))
    if endpoint.form is not None:
        form = _form(endpoint.form, event)
        return Request(endpoint, members, None, form, None, request_id=event.request_id)
    if endpoint.signed:
        notification = _notification(endpoint, event, members["processor"], now)
        return Request(endpoint, members, None, None, None, notification)
    document, raw = _document(endpoint, event)
    if caller is not None and endpoint.body is not None and not caller.is_operator:
        _refuse_reserved(endpoint.body, document, caller)
    query = _query(endpoint, event)
    key = _idempotency_key(endpoint, event, document)
    if caller is None:
        return Request(
            endpoint,
            members,
            None,
            None,
            query,
            headers=event.headers,
            request_id=event.request_id,
        )
    body = _body(endpoint, raw, document)
    header = event.headers.get("idempotency-key")
    if header is not None or event.query:
        _refuse_card_data({"idempotency_key": header, **event.query})
    # Built from the route, so that two spellings of a path are one idempotency scope.
    path = endpoint.path.format(**members)
    call = Call(
        caller=caller,
        method=endpoint.method,
        path=path,
        now=now,
        fingerprint=fingerprint(endpoint.method, path, _payload(document)) if key else "",
        acting_for=_acting_for(body, query),
        idempotency_key=key,
        api_url=links.api_url,
        error_types=links.error_types,
        entropy=outside.entropy,
    )
    return Request(endpoint, members, call, body, query)


def _payload(document: Mapping[str, Any]) -> dict[str, Any]:
    """The body without its idempotency key, which may also be sent in the header."""
    return {name: value for name, value in document.items() if name != "idempotency_key"}


def _refuse_forbidden(endpoint: Endpoint, caller: Caller, event: HttpEvent) -> None:
    if endpoint.permission is not None:
        caller.require(endpoint.permission)
    if caller.is_operator:
        return
    if caller.merchant_id is None:
        raise Forbidden("This token belongs to neither a merchant nor an operator")
    if "merchant_id" in event.query:
        raise Forbidden(
            "Only operators may send merchant_id; your token already names your merchant",
            param="merchant_id",
        )


def _refuse_reserved(shape: type[BaseModel], document: Mapping[str, Any], caller: Caller) -> None:
    if not issubclass(shape, Body):
        return
    reserved = shape.reserved_for_operators(document)
    if reserved is not None:
        raise Forbidden(f"Only an operator may send this {reserved}", param=reserved)
    for permission, what_for in shape.also_needs(document).items():
        if permission not in caller.permissions:
            raise Forbidden(
                f"This token lacks the permission {permission}, which the action {what_for} needs"
            )
    lacking = sorted(shape.granted_permissions(document) - caller.permissions)
    if lacking:
        raise Forbidden(
            f"This token lacks {', '.join(lacking)} and cannot grant it to a key",
            param="permissions",
        )


def _acting_for(body: BaseModel | None, query: BaseModel | None) -> str | None:
    named = {
        shape.merchant_id
        for shape in (body, query)
        if isinstance(shape, (Body, Query)) and shape.merchant_id is not None
    }
    if len(named) > 1:
        raise InvalidParameter(
            "merchant_id differs between the body and the query; send it once", param="merchant_id"
        )
    return next(iter(named), None)


def _document(endpoint: Endpoint, event: HttpEvent) -> tuple[dict[str, Any], bytes]:
    if endpoint.body is None:
        return {}, b""
    if endpoint.body_optional and not event.text:
        return {}, b"{}"
    return json_body(event)


def _form(shape: type[BaseModel], event: HttpEvent) -> BaseModel:
    """The validated form of a public page."""
    fields = form_body(event)
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        _refuse(error, fields, shape, UnknownField)


def _notification(
    endpoint: Endpoint, event: HttpEvent, processor: str, now: datetime
) -> Notification:
    """The notification as raw bytes; they are parsed after the signature is verified."""
    # Its module applies events, and no other request needs that (decision 0077).
    from runtime.payments.disputes.processor_webhooks import Notification  # noqa: PLC0415

    query = _query(endpoint, event)
    assert isinstance(query, EventQuery), f"{endpoint.operation} has no EventQuery"
    body = raw_body(event)
    if len(body) > MAX_NOTIFICATION_BYTES:
        raise PayloadTooLarge(
            f"The request body has {len(body)} bytes; the limit is {MAX_NOTIFICATION_BYTES}"
        )
    return Notification(
        processor=processor,
        merchant_id=query.merchant_id,
        headers=event.headers,
        body=body,
        now=now,
        request_id=event.request_id,
        ip_address=event.source_ip,
        user_agent=user_agent_of(event),
    )


def _query(endpoint: Endpoint, event: HttpEvent) -> BaseModel | None:
    if endpoint.public and endpoint.query is None:
        return None
    given = event.query
    repeated = _repeated(event.raw_query) if event.raw_query else None
    if repeated is not None:
        name = echoed(repeated)
        raise InvalidParameter(f"The query parameter {name} is given more than once", param=name)
    shape = endpoint.query or Query
    try:
        return shape.model_validate(dict(given))
    except ValidationError as error:
        _refuse(error, given, shape, UnknownParameter)


def _repeated(query_string: str) -> str | None:
    names = [name for name, _ in parse_qsl(query_string, keep_blank_values=True)]
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _idempotency_key(
    endpoint: Endpoint, event: HttpEvent, document: Mapping[str, Any]
) -> str | None:
    if endpoint.idempotent == "no":
        return None
    header = event.headers.get("idempotency-key")
    member = document.get("idempotency_key")
    if header is not None and member is not None and header != member:
        raise ConflictingIdempotencyKeys(
            "The Idempotency-Key header and idempotency_key in the body differ; send one of them",
            param="idempotency_key",
        )
    key = header if header is not None else member
    if key is None:
        if endpoint.idempotent == "required":
            raise MissingIdempotencyKey(
                f"Idempotency-Key is required; use a unique value per {_what(endpoint)}"
            )
        return None
    try:
        return _key.validate_python(key)
    except ValidationError as error:
        raise ConflictingIdempotencyKeys(
            f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters",
            param="idempotency_key",
        ) from error


def _what(endpoint: Endpoint) -> str:
    """What a request creates, for messages: payment, refund, transfer."""
    last = endpoint.path.rpartition("/")[2]
    if last in ("payments", "transfers"):
        return last.removesuffix("s")
    return last if last in ("capture", "refund") else "request"


def _refuse_card_data(document: Mapping[str, Any]) -> None:
    suspect = find_card_data(document)
    if suspect is not None:
        name = path_text(suspect.split("."))
        raise CardDataRefused(
            f"{name} looks like a card number or a security code; send the processor's token "
            "instead",
            param=name,
        )


def _body(endpoint: Endpoint, raw: bytes, document: Mapping[str, Any]) -> BaseModel | None:
    """The validated body. Card data is reported before any other error in it."""
    if endpoint.body is None:
        return None
    try:
        body = endpoint.body.model_validate_json(raw)
    except ValidationError as error:
        _refuse_card_data(document)
        _refuse(error, document, endpoint.body, UnknownField)
    _refuse_card_data(document)
    return body


def _refuse(
    error: ValidationError,
    document: Mapping[str, Any],
    shape: type[BaseModel],
    unknown: type[UnknownField | UnknownParameter],
) -> NoReturn:
    """Report all invalid fields, unknown ones before values."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        # Text that json.loads accepts and the validator does not, such as lone surrogates.
        raise MalformedJson(NOT_JSON) from None
    flaws = flaws_of(error, document, shape, in_query=unknown is UnknownParameter)
    flaws = tuple(sorted(flaws, key=lambda flaw: not flaw.is_unknown_field))
    first = flaws[0]
    kind: type[PlatformError] = InvalidValue
    if first.is_unknown_field:
        kind = unknown
    elif first.is_too_large_amount:
        kind = AmountTooLarge
    listed = [flaw.field for flaw in flaws[:MAX_FIELD_ERRORS]]
    raise kind(first.field.detail, param=first.field.param, errors=listed) from None
