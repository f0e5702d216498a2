"""From an HTTP event to a validated request, judged in the order 401, 403, 400/413/415, 422."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from pydantic import BaseModel, TypeAdapter, ValidationError

from runtime.contract.base import IDENTIFIER, Body, IdempotencyKey, Query
from runtime.contract.call import Call
from runtime.contract.caller import Caller
from runtime.contract.endpoint import Endpoint
from runtime.contract.processor_events import EventQuery
from runtime.core.outside import Outside
from runtime.domain.card_data import find_card_data
from runtime.domain.idempotency import fingerprint
from runtime.echo import echoed, echoed_path
from runtime.errors import (
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
    UnknownField,
    UnknownParameter,
    UnsupportedMediaType,
)
from runtime.handlers.vouched import caller_of, user_agent_of
from runtime.models.fields import MAX_AMOUNT_MINOR
from runtime.services.processor_events import Notification

MAX_BODY_BYTES = 64 * 1024
"""Far above the largest request that the limits of its fields allow."""

MAX_NOTIFICATION_BYTES = 256 * 1024
"""Far above the events of processors, which carry one object."""

MAX_JSON_DEPTH = 20
"""Requests need three levels; what reads them recursively must not be sent to its limit."""

MAX_JSON_DIGITS = 4300
"""Of one whole number: Python's own limit, because the conversion takes quadratic time."""

Shape = TypeVar("Shape", bound=BaseModel)
_key = TypeAdapter(IdempotencyKey)


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose form has been judged. `path` has the members of the path by name.

    `headers` are those of a request on a public route, by names in lower case.
    """

    endpoint: Endpoint
    path: Mapping[str, str]
    call: Call | None
    raw_body: BaseModel | None
    raw_query: BaseModel | None
    raw_notification: Notification | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path_id(self) -> str:
        """The {id} of the path."""
        return self.path["id"]

    @property
    def authenticated(self) -> Call:
        """The call of a route that is not public."""
        assert self.call is not None, f"{self.endpoint.operation} is public"
        return self.call

    @property
    def notification(self) -> Notification:
        """What a processor sent, as it came."""
        assert self.raw_notification is not None, f"{self.endpoint.operation} is not signed"
        return self.raw_notification

    def body(self, shape: type[Shape]) -> Shape:
        """The validated body."""
        assert isinstance(self.raw_body, shape), f"{self.endpoint.operation} takes no {shape}"
        return self.raw_body

    def query(self, shape: type[Shape]) -> Shape:
        """The validated query string."""
        assert isinstance(self.raw_query, shape), f"{self.endpoint.operation} takes no {shape}"
        return self.raw_query


def read_request(
    endpoint: Endpoint, event: APIGatewayProxyEventV2, members: Mapping[str, str], outside: Outside
) -> Request:
    """Judge the form of a request that arrives now; `members` are those of its path.

    Raises the PlatformError of the first thing that is wrong.
    """
    now = outside.now()
    caller = None if endpoint.public else caller_of(event, now.timestamp())
    if caller is not None:
        _refuse_forbidden(endpoint, caller, event)
    if not all(re.fullmatch(IDENTIFIER, each) for each in members.values()):
        raise NotFound(f"there is nothing at {echoed_path(event.raw_path)}")
    if endpoint.signed:
        notification = _notification(endpoint, event, members["processor"], now)
        return Request(endpoint, members, None, None, None, notification)
    document, raw = _document(endpoint, event)
    if caller is not None and endpoint.body is not None and not caller.is_operator:
        _refuse_reserved(endpoint.body, document, caller)
    query = _query(endpoint, event)
    key = _idempotency_key(endpoint, event, document)
    if caller is None:
        headers = {name.lower(): value for name, value in event.headers.items()}
        return Request(endpoint, members, None, None, query, headers=headers)
    body = _body(endpoint, raw, document)
    _refuse_card_data(
        {
            "idempotency_key": event.headers.get("idempotency-key"),
            **(event.query_string_parameters or {}),
        }
    )
    # Not as it was sent: two spellings of one path must not be two scopes of one key.
    path = endpoint.path.format(**members)
    call = Call(
        caller=caller,
        method=endpoint.method,
        path=path,
        now=now,
        fingerprint=fingerprint(endpoint.method, path, _payload(document)),
        acting_for=_acting_for(body, query),
        idempotency_key=key,
        entropy=outside.entropy,
    )
    return Request(endpoint, members, call, body, query)


def _payload(document: Mapping[str, Any]) -> dict[str, Any]:
    """The body without its key: the same request may carry it in the header."""
    return {name: value for name, value in document.items() if name != "idempotency_key"}


def _refuse_forbidden(endpoint: Endpoint, caller: Caller, event: APIGatewayProxyEventV2) -> None:
    if endpoint.permission is not None:
        caller.require(endpoint.permission)
    if caller.is_operator:
        return
    if caller.merchant_id is None:
        raise Forbidden("this token names no merchant and is no operator's")
    if "merchant_id" in (event.query_string_parameters or {}):
        raise Forbidden("merchant_id is for operators; yours is in your token", param="merchant_id")


def _refuse_reserved(shape: type[BaseModel], document: Mapping[str, Any], caller: Caller) -> None:
    if not issubclass(shape, Body):
        return
    reserved = shape.reserved_for_operators(document)
    if reserved is not None:
        raise Forbidden(f"only an operator may send this {reserved}", param=reserved)
    for permission, what_for in shape.also_needs(document).items():
        if permission not in caller.permissions:
            raise Forbidden(f"this token lacks the permission {permission}, which {what_for} needs")
    lacking = sorted(shape.hands_on(document) - caller.permissions)
    if lacking:
        raise Forbidden(
            f"this token lacks {', '.join(lacking)} and cannot give it to others",
            param="permissions",
        )


def _acting_for(body: BaseModel | None, query: BaseModel | None) -> str | None:
    named = {
        shape.merchant_id
        for shape in (body, query)
        if isinstance(shape, (Body, Query)) and shape.merchant_id is not None
    }
    if len(named) > 1:
        raise InvalidParameter("body and query name different merchants", param="merchant_id")
    return next(iter(named), None)


def _document(endpoint: Endpoint, event: APIGatewayProxyEventV2) -> tuple[dict[str, Any], bytes]:
    if endpoint.body is None:
        return {}, b""
    if endpoint.body_optional and not event.body:
        return {}, b"{}"
    return _json_body(event)


def _notification(
    endpoint: Endpoint, event: APIGatewayProxyEventV2, processor: str, now: datetime
) -> Notification:
    """The bytes as they were signed; what they say is read after the signature was judged."""
    query = _query(endpoint, event)
    assert isinstance(query, EventQuery), f"{endpoint.operation} takes an EventQuery"
    body = _raw_body(event)
    if len(body) > MAX_NOTIFICATION_BYTES:
        raise PayloadTooLarge(f"the body has {len(body)} bytes; {MAX_NOTIFICATION_BYTES} are read")
    sender = event.request_context.http
    return Notification(
        processor=processor,
        merchant_id=query.merchant_id,
        headers={name.lower(): value for name, value in event.headers.items()},
        body=body,
        now=now,
        request_id=event.request_context.request_id,
        ip_address=sender.source_ip or "",
        user_agent=user_agent_of(event),
    )


def _json_body(event: APIGatewayProxyEventV2) -> tuple[dict[str, Any], bytes]:
    media_type = (event.headers.get("content-type") or "").partition(";")[0].strip().lower()
    raw = _raw_body(event)
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLarge(f"the body has {len(raw)} bytes; {MAX_BODY_BYTES} are read")
    if media_type != "application/json":
        raise UnsupportedMediaType(f"Content-Type is {echoed(media_type)!r}; send application/json")
    try:
        document = json.loads(
            raw,
            object_pairs_hook=_unambiguous,
            parse_int=_integer,
            parse_constant=_no_json_number,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedJson(f"the body is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedJson(f"the body is a JSON {type(document).__name__}, not an object")
    if _is_deeper(document, MAX_JSON_DEPTH):
        raise MalformedJson(f"the body is nested more than {MAX_JSON_DEPTH} deep")
    return document, raw


def _is_deeper(document: Any, levels: int) -> bool:
    """Whether containers are nested more than `levels` deep; measured without recursion."""
    layer = [document]
    for _ in range(levels):
        inner = (v.values() if isinstance(v, dict) else v for v in layer)
        layer = [c for children in inner for c in children if isinstance(c, (dict, list))]
        if not layer:
            return False
    return True


def _raw_body(event: APIGatewayProxyEventV2) -> bytes:
    try:
        return (event.decoded_body or "").encode()
    except ValueError as error:
        raise MalformedJson("the body is not UTF-8") from error


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a member is given twice")
    return document


def _integer(digits: str) -> int:
    if len(digits) > MAX_JSON_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits; at most {MAX_JSON_DIGITS} are read")
    return int(digits)


def _no_json_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _query(endpoint: Endpoint, event: APIGatewayProxyEventV2) -> BaseModel | None:
    if endpoint.public and endpoint.query is None:
        return None
    given = event.query_string_parameters or {}
    repeated = _repeated(event.raw_query_string or "")
    if repeated is not None:
        name = echoed(repeated)
        raise InvalidParameter(f"{name} is given more than once", param=name)
    shape = endpoint.query or Query
    try:
        return shape.model_validate(dict(given))
    except ValidationError as error:
        _refuse(error, UnknownParameter)


def _repeated(query_string: str) -> str | None:
    names = [name for name, _ in parse_qsl(query_string, keep_blank_values=True)]
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _idempotency_key(
    endpoint: Endpoint, event: APIGatewayProxyEventV2, document: Mapping[str, Any]
) -> str | None:
    if endpoint.idempotent == "no":
        return None
    header = event.headers.get("idempotency-key")
    member = document.get("idempotency_key")
    if header is not None and member is not None and header != member:
        raise ConflictingIdempotencyKeys(
            "the Idempotency-Key header and idempotency_key in the body differ",
            param="idempotency_key",
        )
    key = header if header is not None else member
    if key is None:
        if endpoint.idempotent == "required":
            raise MissingIdempotencyKey(
                "send an Idempotency-Key header: a value of your own, a new one for each request "
                "that repeats no other"
            )
        return None
    try:
        return _key.validate_python(key)
    except ValidationError as error:
        raise ConflictingIdempotencyKeys(
            "an idempotency key is 1 to 255 visible ASCII characters", param="idempotency_key"
        ) from error


def _refuse_card_data(document: Mapping[str, Any]) -> None:
    suspect = find_card_data(document)
    if suspect is not None:
        name = _path(suspect.split("."))
        raise CardDataRefused(
            f"{name} looks like a card number or a security code; send the processor's token",
            param=name,
        )


def _body(endpoint: Endpoint, raw: bytes, document: Mapping[str, Any]) -> BaseModel | None:
    """The validated body. Card data in it is refused before anything else that is wrong with it."""
    if endpoint.body is None:
        return None
    try:
        body = endpoint.body.model_validate_json(raw)
    except ValidationError as error:
        _refuse_card_data(document)
        _refuse(error, UnknownField)
    _refuse_card_data(document)
    return body


def _refuse(error: ValidationError, unknown: type[UnknownField | UnknownParameter]) -> NoReturn:
    """Say the first thing that is wrong, unknown names before values; never repeat the value."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    for problem in problems:
        if problem["type"] == "extra_forbidden":
            name = _path(problem["loc"])
            raise unknown(f"{name} is not known here", param=name) from None
    first = problems[0]
    if first["type"] == "json_invalid":
        # Text that json.loads takes and the validator does not: lone surrogates, for one.
        raise MalformedJson(f"the body is no JSON: {first['msg']}") from None
    name = _path(first["loc"])
    if first["type"] == "less_than_equal" and first["loc"][-1] == "amount":
        raise AmountTooLarge(
            f"{name}: one operation moves at most {MAX_AMOUNT_MINOR} minor units",
            param=name,
        ) from None
    # Callers send JSON, which has lists; our tuples would only confuse them.
    message = first["msg"].removeprefix("Value error, ").replace("Tuple", "List")
    raise InvalidValue(f"{name}: {message}", param=name) from None


def _path(location: Iterable[int | str]) -> str:
    """Where something is; a caller's own names are repeated like any other value of its."""
    return ".".join(echoed(str(part)) for part in location) or "body"
