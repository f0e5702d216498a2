"""The caller, from what the gateway verified: our own authorizer's context, or a JWT's claims.

Only the gateway writes these values, so an unexpected one is a configuration error: 401.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from runtime.core.echo import safe
from runtime.core.errors import Unauthorized
from runtime.core.observability import logger
from runtime.http.authorizer_context import identity_in
from runtime.http.caller import Caller
from runtime.http.event import HttpEvent
from runtime.http.identity import Identity, Refusal, TokenRefused, identity_of_token

MAX_USER_AGENT = 256
MAX_ADDRESS = 64
"""Characters of an IPv6 address with a zone; the gateway writes it."""

_SECONDS: Final = re.compile(r"\d{1,12}(\.\d{1,12})?(e\+?\d{1,2})?", re.IGNORECASE)
"""API Gateway passes every claim as text, numbers as Go prints them: 1700000000 or 1.7e+09."""


def caller_of(event: HttpEvent, now_seconds: float) -> Caller:
    """The caller of a route that is not public. Raises Unauthorized, Unavailable.

    A request without a complete identity, verified by an authorizer, is unauthenticated.
    """
    identity = _identity(event.authorizer, now_seconds)
    return Caller(
        subject=identity.subject,
        merchant_id=identity.merchant_id,
        permissions=frozenset(identity.permissions),
        request_id=event.request_id,
        ip_address=event.source_ip[:MAX_ADDRESS],
        user_agent=user_agent_of(event),
    )


def user_agent_of(event: HttpEvent) -> str:
    """The client's user agent, in a form that the audit log may keep for years."""
    return safe(event.user_agent[:MAX_USER_AGENT])


def _identity(vouched: Any, now_seconds: float) -> Identity:
    if not isinstance(vouched, Mapping):
        raise Unauthorized.missing()
    jwt = vouched.get("jwt")
    if not jwt:
        return identity_in(vouched.get("lambda"), now_seconds)
    claims = jwt.get("claims") if isinstance(jwt, Mapping) else None
    if not isinstance(claims, Mapping) or not claims or vouched.get("lambda"):
        raise Unauthorized.invalid()
    try:
        return _of_claims(claims, now_seconds)
    except TokenRefused as refused:
        logger.warning("odd claims", reason=refused.reason, detail=str(refused))
        raise Unauthorized.invalid() from refused


def _of_claims(claims: Mapping[str, Any], now_seconds: float) -> Identity:
    """The identity in the claims of a JWT that the gateway verified. Raises TokenRefused."""
    expires = claims.get("exp")
    if not (isinstance(expires, str) and _SECONDS.fullmatch(expires)):
        raise TokenRefused(Refusal.MISSING_CLAIM, "exp is absent or not a number")
    if float(expires) <= now_seconds:
        raise TokenRefused(Refusal.EXPIRED, "the token expired on its way here")
    scope = claims.get("scope", "")
    # A list arrives as "[a b]": its first and last scope would be different words.
    if not isinstance(scope, str) or scope.startswith("["):
        raise TokenRefused(Refusal.CLAIMS, "scope is not a text of words separated by spaces")
    return identity_of_token(claims, scope.split(), int(float(expires)))
