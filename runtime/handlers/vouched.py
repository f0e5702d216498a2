"""Who calls, from what the gateway vouched for: our own authorizer's context, or a JWT's claims.

Nobody but the gateway writes these, so what is odd about them is a wrong set-up: a 401, no guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from runtime.contract.caller import Caller
from runtime.domain.identity import Identity, Refusal, TokenRefused, identity_of
from runtime.errors import Unauthorized
from runtime.observability import logger

MAX_USER_AGENT = 256

_SECONDS: Final = re.compile(r"\d{1,12}(\.\d{1,12})?(e\+?\d{1,2})?", re.IGNORECASE)
"""API Gateway passes every claim as text, numbers as Go prints them: 1700000000 or 1.7e+09."""


def caller_of(event: APIGatewayProxyEventV2, now_seconds: float) -> Caller:
    """The caller of a route that is not public. Raises Unauthorized."""
    context = event.request_context
    identity = _identity(dict(context.get("authorizer") or {}), now_seconds)
    return Caller(
        subject=identity.subject,
        merchant_id=identity.merchant_id,
        permissions=frozenset(identity.permissions),
        request_id=context.request_id,
        ip_address=context.http.source_ip or "",
        user_agent=(context.http.get("userAgent") or "")[:MAX_USER_AGENT],
    )


def _identity(vouched: Mapping[str, Any], now_seconds: float) -> Identity:
    ours, claims = vouched.get("lambda"), (vouched.get("jwt") or {}).get("claims")
    try:
        if isinstance(claims, Mapping) and claims and not ours:
            return _of_claims(claims, now_seconds)
        if ours and not claims and ours.get("sub"):
            permissions = tuple(ours.get("permissions", "").split())
            return Identity(ours["sub"], ours.get("merchant_id") or None, permissions)
    except TokenRefused as refused:
        logger.warning("odd claims", reason=refused.reason, detail=str(refused))
    raise Unauthorized("send a valid token: Authorization: Bearer <JWT>")


def _of_claims(claims: Mapping[str, Any], now_seconds: float) -> Identity:
    """The identity in the claims of a JWT that the gateway verified. Raises TokenRefused."""
    expires = claims.get("exp")
    if not (isinstance(expires, str) and _SECONDS.fullmatch(expires)):
        raise TokenRefused(Refusal.MISSING_CLAIM, "exp is absent or no number")
    if float(expires) <= now_seconds:
        raise TokenRefused(Refusal.EXPIRED, "the token expired on its way here")
    scope = claims.get("scope", "")
    # A list comes as "[a b]": its first and last scope would be words of another meaning.
    if not isinstance(scope, str) or scope.startswith("["):
        raise TokenRefused(Refusal.CLAIMS, "scope is no text of words with spaces between them")
    if claims.get("merchant_id", "") is None:
        raise TokenRefused(Refusal.CLAIMS, "merchant_id is there and names nobody")
    return identity_of(claims.get("sub"), claims.get("merchant_id"), scope.split())
