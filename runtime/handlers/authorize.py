"""The gateway's authorizer: identifies the caller, in a simple response. Failures are refusals.

It allows every request and passes the result in the context. The functions answer a refused
credential with a problem document (domain/authorizer_context.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.authorize import AuthorizerServices, authorizer_services
from runtime.domain.api_keys import MARK
from runtime.domain.authorizer_context import Context, context_of, refusing_context
from runtime.domain.identity import Identity, Refusal, TokenRefused
from runtime.gateways.tokens import judge_token
from runtime.observability import logger
from runtime.settings import ACCESS_REFUSED, LONGEST_CACHE_SECONDS

_SCHEME = "bearer "


def handler_for(
    services: Callable[[], AuthorizerServices],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """The handler of one execution environment, on its services."""

    def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
        """API Gateway's payload 2.0 authorizer with simple responses."""
        try:
            context = context_of(_judge(_bearer(event), event, services()))
        except TokenRefused as refused:
            logger.warning(ACCESS_REFUSED, reason=refused.reason, detail=str(refused))
            context = _refusing(refused.reason, services)
        except Exception:  # noqa: BLE001 - the boundary: whatever fails here must refuse
            logger.exception(ACCESS_REFUSED, reason=Refusal.FAILURE)
            context = _refusing(Refusal.FAILURE, services)
        return {"isAuthorized": True, "context": context}

    return handler


def _refusing(reason: Refusal, services: Callable[[], AuthorizerServices]) -> Context:
    try:
        kept_seconds = services().settings.cache_seconds
    except Exception:  # noqa: BLE001 - the error has been logged
        kept_seconds = LONGEST_CACHE_SECONDS
    return refusing_context(reason, kept_seconds)


def _judge(credential: str, event: dict[str, Any], services: AuthorizerServices) -> Identity:
    if credential.startswith(MARK):
        return services.machine_clients.judge(credential, event)
    return judge_token(credential, services.keys, services.settings)


def _bearer(event: dict[str, Any]) -> str:
    authorization = (event.get("headers") or {}).get("authorization") or ""
    token: str = authorization[len(_SCHEME) :].strip()
    if not authorization.lower().startswith(_SCHEME) or not token:
        raise TokenRefused(Refusal.MISSING, "no bearer token")
    return token


handler = handler_for(authorizer_services)
