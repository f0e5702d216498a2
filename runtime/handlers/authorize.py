"""The gateway's authorizer: identifies the caller, in a simple response. Failures are refusals.

It allows every request and passes the result in the context. The functions answer a refused
credential with a problem document (domain/authorizer_context.py).
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.domain.api_keys import MARK
from runtime.domain.authorizer_context import Context, context_of, refusing_context
from runtime.domain.identity import Identity, Refusal, TokenRefused
from runtime.gateways import clients
from runtime.gateways.jwks_http import jwks_from_url
from runtime.gateways.token_keys import (
    PublicKeys,
    SharedSecret,
    jwks_from_secret,
    text_of_secret,
)
from runtime.gateways.tokens import TokenKeys, judge_token
from runtime.observability import logger
from runtime.settings import ACCESS_REFUSED, LONGEST_CACHE_SECONDS, AuthorizerSettings

if TYPE_CHECKING:
    from runtime.handlers.machine_clients import MachineClients

_SCHEME = "bearer "


def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """API Gateway's payload 2.0 authorizer with simple responses."""
    try:
        context = context_of(_judge(_bearer(event), event))
    except TokenRefused as refused:
        logger.warning(ACCESS_REFUSED, reason=refused.reason, detail=str(refused))
        context = _refusing(refused.reason)
    except Exception:  # noqa: BLE001 - the boundary: whatever fails here must refuse
        logger.exception(ACCESS_REFUSED, reason=Refusal.FAILURE)
        context = _refusing(Refusal.FAILURE)
    return {"isAuthorized": True, "context": context}


def _refusing(reason: Refusal) -> Context:
    try:
        kept_seconds = _settings().cache_seconds
    except Exception:  # noqa: BLE001 - the error has been logged
        kept_seconds = LONGEST_CACHE_SECONDS
    return refusing_context(reason, kept_seconds)


def _judge(credential: str, event: dict[str, Any]) -> Identity:
    if credential.startswith(MARK):
        return machine_clients().judge(credential, event)
    return judge_token(credential, _keys(), _settings())


def _bearer(event: dict[str, Any]) -> str:
    authorization = (event.get("headers") or {}).get("authorization") or ""
    token: str = authorization[len(_SCHEME) :].strip()
    if not authorization.lower().startswith(_SCHEME) or not token:
        raise TokenRefused(Refusal.MISSING, "no bearer token")
    return token


@cache
def _settings() -> AuthorizerSettings:
    return AuthorizerSettings.from_environment(os.environ)


@cache
def machine_clients() -> MachineClients:
    """Made when the first API key is presented: a token must not wait for what it does not need."""
    from runtime.handlers.machine_clients import MachineClients  # noqa: PLC0415

    return MachineClients(_settings())


@cache
def _keys() -> TokenKeys:
    settings = _settings()
    keep, max_stale = settings.jwks_cache_seconds, settings.jwks_max_stale_seconds
    public = secret = None
    if settings.jwks_url is not None:
        public = PublicKeys(jwks_from_url(settings.jwks_url), keep, max_stale)
    elif settings.jwks_secret_arn is not None:
        source = jwks_from_secret(clients.secrets_manager(), settings.jwks_secret_arn)
        public = PublicKeys(source, keep, max_stale)
    if settings.hs256_secret_arn is not None:
        text = text_of_secret(clients.secrets_manager(), settings.hs256_secret_arn)
        secret = SharedSecret(text, keep, max_stale)
    return TokenKeys(public, secret)
