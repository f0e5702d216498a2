"""What the simulated Stripe answers with: objects, pages and errors in Stripe's shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

Json = dict[str, Any]
Answer = tuple[int, Json]

EVENTS_PER_PAGE: Final = 100


def metadata_of(params: Mapping[str, str]) -> dict[str, str]:
    """Our metadata among the parameters of a request."""
    found = (name for name in params if name.startswith("metadata["))
    return {name[len("metadata[") : -1]: params[name] for name in found}


def object_answer(objects: Mapping[str, Json], object_id: str) -> Answer:
    """One object by its id, or 404."""
    found = objects.get(object_id)
    return not_found() if found is None else (200, copy_of(found))


def page_of(rows: list[Json], path: str, limit: int = EVENTS_PER_PAGE) -> Json:
    """A list as Stripe pages it (docs.stripe.com/api/pagination); more of it is at `path`."""
    shown = [copy_of(row) for row in rows[:limit]]
    return {"object": "list", "data": shown, "has_more": len(rows) > limit, "url": path}


def not_found() -> Answer:
    """404: the object does not exist."""
    return 404, error_body("invalid_request_error", "resource_missing", "No such object")


def unexpected_state(intent: Json) -> Answer:
    """400: the PaymentIntent is in another state (docs.stripe.com/error-codes)."""
    message = f"This PaymentIntent has the status {intent['status']}"
    body = error_body("invalid_request_error", "payment_intent_unexpected_state", message)
    body["error"]["payment_intent"] = copy_of(intent)
    return 400, body


def failure_of(kind: str, code: str | None, message: str, decline_code: str | None = None) -> Json:
    """What went wrong, with the members that there are (docs.stripe.com/api/errors)."""
    members = {"type": kind, "code": code, "message": message, "decline_code": decline_code}
    return {name: value for name, value in members.items() if value is not None}


def error_body(kind: str, code: str | None, message: str) -> Json:
    """The body of an answer that says what went wrong."""
    return {"error": failure_of(kind, code, message)}


def copy_of(document: Json) -> Json:
    """A private copy of a document."""
    copied: Json = json.loads(json.dumps(document))
    return copied
