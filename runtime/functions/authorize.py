"""The gateway's authorizer: identifies the caller and returns a simple response.

It authorizes every request and passes the result in the context, so that the functions can answer
an invalid credential with a problem document (http/authorizer_context.py). Errors count as refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.access.api_key_text import MARK
from runtime.access.jwks_http import jwks_from_url
from runtime.access.token_keys import (
    JwksSource,
    PublicKeys,
    SharedSecret,
    jwks_from_secret,
    text_of_secret,
)
from runtime.access.tokens import TokenKeys, verify_token
from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.core.request_ids import request_id_of
from runtime.functions.composition.real_outside import real_outside
from runtime.http.authorizer_context import Context, context_of, refusing_context
from runtime.http.identity import Identity, Refusal, TokenRefused
from runtime.settings import ACCESS_REFUSED, LONGEST_CACHE_SECONDS, AuthorizerSettings

if TYPE_CHECKING:
    from runtime.functions.composition.api_key_authorizer import ApiKeyAuthorizer


class AuthorizerServices:
    """Dependencies of functions/authorize.py, each created on first use.

    `jwks` reads the issuer's public keys from their URL.
    """

    def __init__(
        self,
        settings: AuthorizerSettings,
        outside: Outside | None = None,
        jwks: Callable[[str], JwksSource] = jwks_from_url,
    ) -> None:
        self.settings = settings
        self.outside = outside or real_outside()
        self._jwks = jwks

    @cached_property
    def machine_clients(self) -> ApiKeyAuthorizer:
        """API key authentication, created for the first API key: tokens do not need it."""
        from runtime.functions.composition.api_key_authorizer import ApiKeyAuthorizer  # noqa: PLC0415

        return ApiKeyAuthorizer(self.settings, self.outside)

    @cached_property
    def keys(self) -> TokenKeys:
        """Keys that verify tokens."""
        settings, monotonic = self.settings, self.outside.monotonic
        keep, max_stale = settings.jwks_cache_seconds, settings.jwks_max_stale_seconds
        public = secret = None
        if settings.jwks_url is not None:
            public = PublicKeys(self._jwks(settings.jwks_url), keep, monotonic, max_stale)
        elif settings.jwks_secret_arn is not None:
            secrets = self.outside.aws.secrets_manager()
            source = jwks_from_secret(secrets, settings.jwks_secret_arn)
            public = PublicKeys(source, keep, monotonic, max_stale)
        if settings.hs256_secret_arn is not None:
            secrets = self.outside.aws.secrets_manager()
            text = text_of_secret(secrets, settings.hs256_secret_arn)
            secret = SharedSecret(text, keep, monotonic, max_stale)
        return TokenKeys(public, secret)


@cache
def authorizer_services() -> AuthorizerServices:
    """Build the services from the environment, once."""
    return AuthorizerServices(AuthorizerSettings.from_environment(os.environ))


_SCHEME = "bearer "


def handler_for(
    services: Callable[[], AuthorizerServices],
) -> Callable[[dict[str, Any], LambdaContext], dict[str, Any]]:
    """Create the handler on the services of one execution environment."""

    def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
        """Handle API Gateway's payload 2.0 authorizer event with a simple response."""
        logger.append_keys(request_id=request_id_of(event["requestContext"]["requestId"]))
        try:
            context = context_of(_judge(_bearer(event), event, services()))
        except TokenRefused as refused:
            logger.warning(ACCESS_REFUSED, reason=refused.reason, detail=str(refused))
            context = _refusing(refused.reason, services)
        except Exception:  # noqa: BLE001 - boundary: any failure refuses the credential
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
    return verify_token(credential, services.keys, services.settings)


def _bearer(event: dict[str, Any]) -> str:
    authorization = (event.get("headers") or {}).get("authorization") or ""
    token: str = authorization[len(_SCHEME) :].strip()
    if not authorization.lower().startswith(_SCHEME) or not token:
        raise TokenRefused(Refusal.MISSING, "no bearer token")
    return token


handler = handler_for(authorizer_services)
