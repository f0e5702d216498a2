"""Behind the gateway's authorizer: the keys of tokens, and of API keys once one is presented."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING

from runtime.bootstrap.outside import real_outside
from runtime.core.outside import Outside
from runtime.gateways.jwks_http import jwks_from_url
from runtime.gateways.token_keys import (
    JwksSource,
    PublicKeys,
    SharedSecret,
    jwks_from_secret,
    text_of_secret,
)
from runtime.gateways.tokens import TokenKeys
from runtime.settings import AuthorizerSettings

if TYPE_CHECKING:
    from runtime.bootstrap.machine_clients import ApiKeyAuthorizer


class AuthorizerServices:
    """Behind handlers/authorize.py. Everything is made when it is first needed.

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
        """Made for the first API key: a token must not wait for what it does not need."""
        from runtime.bootstrap.machine_clients import ApiKeyAuthorizer  # noqa: PLC0415

        return ApiKeyAuthorizer(self.settings, self.outside)

    @cached_property
    def keys(self) -> TokenKeys:
        """What tokens are verified with."""
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
    """Built from the environment at the first event."""
    return AuthorizerServices(AuthorizerSettings.from_environment(os.environ))
