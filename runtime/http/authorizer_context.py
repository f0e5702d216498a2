"""The context that the authorizer passes to the functions: an identity, or a refusal.

When an authorizer denies a request, API Gateway answers 403 with its own body. So ours allows every
request, with a context that holds the verified identity or marks the credential as refused, and the
functions answer. They accept only a complete identity in the version that they know; everything
else is unauthenticated (docs/decisions/0108).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from runtime.core.errors import Unauthorized, Unavailable
from runtime.http.identity import API_KEY_SUBJECT, Identity, Refusal, TokenRefused, identity_of

VERSION: Final = "1"
"""The version of the context's format. Functions that read a newer version must be deployed before
the authorizer writes it: answers are cached, and both are deployed separately."""

CACHED_IDENTITIES: Final = 256
"""Identities that an execution environment has checked: few callers make most of its requests."""

Context = Mapping[str, str]
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_RETRY_AFTER: Final = re.compile(r"[1-9][0-9]{0,2}")


class Outcome(StrEnum):
    """The result of checking the credential. The caller gets no more detail than this."""

    VERIFIED = "verified"
    MISSING = "missing"
    INVALID = "invalid"
    UNDECIDED = "undecided"


_OUTCOMES: Final = {
    Refusal.MISSING: Outcome.MISSING,
    Refusal.KEYS_UNREADABLE: Outcome.UNDECIDED,
    Refusal.FAILURE: Outcome.UNDECIDED,
}
"""Every other reason concerns the credential itself."""


def context_of(identity: Identity) -> Context:
    """The context of an accepted credential."""
    expires_at = identity.expires_at
    return {
        "version": VERSION,
        "outcome": Outcome.VERIFIED.value,
        "sub": identity.subject,
        "merchant_id": identity.merchant_id or "",
        "permissions": " ".join(identity.permissions),
        "expires_at": "" if expires_at is None else str(expires_at),
    }


def refusing_context(reason: Refusal, retry_after_seconds: int) -> Context:
    """The context of a refused credential.

    If it could not be decided, the caller may retry after `retry_after_seconds`, which is how long
    the gateway caches the answer.
    """
    outcome = _OUTCOMES.get(reason, Outcome.INVALID)
    context = {"version": VERSION, "outcome": outcome.value}
    if outcome is Outcome.UNDECIDED:
        context["retry_after"] = str(max(retry_after_seconds, 1))
    return context


def identity_in(context: object, now_seconds: float) -> Identity:
    """The verified identity in a context. Raises Unauthorized; Unavailable when undecided."""
    if not isinstance(context, Mapping) or context.get("version") != VERSION:
        raise Unauthorized.missing()
    match context.get("outcome"):
        case Outcome.VERIFIED:
            return _complete(context, now_seconds)
        case Outcome.INVALID:
            raise Unauthorized.invalid()
        case Outcome.UNDECIDED:
            raise _undecided(context.get("retry_after"))
        case _:
            raise Unauthorized.missing()


def _complete(context: Mapping[Any, Any], now_seconds: float) -> Identity:
    names = ("sub", "merchant_id", "permissions", "expires_at")
    values = [context.get(name) for name in names]
    if not all(isinstance(value, str) for value in values):
        raise Unauthorized.invalid()
    subject, merchant_id, permissions, ends = (str(value) for value in values)
    is_key = subject.startswith(API_KEY_SUBJECT) and merchant_id != ""
    if _SECONDS.fullmatch(ends):
        # The gateway may cache the answer for longer than the token is valid.
        if int(ends) <= now_seconds:
            raise Unauthorized.invalid()
    elif ends or not is_key:
        raise Unauthorized.invalid()
    try:
        return _checked(subject, merchant_id, permissions, ends)
    except TokenRefused as refused:
        raise Unauthorized.invalid() from refused


@lru_cache(maxsize=CACHED_IDENTITIES)
def _checked(subject: str, merchant_id: str, permissions: str, ends: str) -> Identity:
    """The identity of these values, which are checked once. Raises TokenRefused.

    Whether it has expired is not remembered.
    """
    return identity_of(
        subject, merchant_id or None, permissions.split(), int(ends) if ends else None
    )


def _undecided(retry_after: Any) -> Unavailable:
    error = Unavailable("The credential could not be checked; try again")
    if isinstance(retry_after, str) and _RETRY_AFTER.fullmatch(retry_after):
        error.retry_after_seconds = int(retry_after)
    return error
