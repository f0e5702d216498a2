"""Parts of a stage's settings: whether it has a console, what serves it, and how people sign in."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from runtime.http.endpoint import Permission
from stacks.stage_account import DomainConfig
from stacks.stage_parts import PLACEHOLDER_SUFFIX, AuthConfig, StagePart

_Endpoint = Annotated[str, Field(pattern=r"^https://[^\s/?#]+[^\s#]*$", max_length=512)]
_OIDC: Final = ("authorization_endpoint", "token_endpoint", "client_id", "scope")
"""What a sign-in with OpenID Connect needs."""


class SignInConfig(StagePart, frozen=True):
    """How people sign in to the console. It shows nothing before, and has no rights of its own.

    `token`: with a token that they paste, or that `make console` puts behind the address. Only in
    the stage local: elsewhere a link with a token could sign people in as someone else.

    `oidc`: at an OpenID provider, with the authorization code flow and PKCE (RFC 7636), as a public
    client without a secret. The provider is the one that `auth.issuer` names, so that its access
    tokens are those that the API accepts: they need `auth.audience` as their `aud`, and the claims
    that the API reads ([console](console.md#sign-in)). The settings are those of the provider's
    `/.well-known/openid-configuration`.
    """

    method: Literal["token", "oidc"]
    """How people sign in; `token` only in the stage local."""
    authorization_endpoint: _Endpoint | None = None
    """Of `oidc`: the page at which people sign in."""
    token_endpoint: _Endpoint | None = None
    """Of `oidc`: where the console exchanges the code for a token. Its origin is the only one,
    besides its own, that the console's page may call."""
    client_id: Annotated[str | None, Field(min_length=1, max_length=256, pattern=r"^\S+$")] = None
    """Of `oidc`: the console as the provider knows it, a public client."""
    scope: Annotated[str | None, Field(min_length=1, max_length=512)] = None
    """Of `oidc`: the scopes that it asks for, with spaces between them; `openid` is one. With
    `auth.mode` `jwt` the API's permissions are scopes, and some have to be among them."""
    logout_endpoint: _Endpoint | None = None
    """Of `oidc`: where signing out ends the provider's own session. None: only the console forgets
    its token."""

    @model_validator(mode="after")
    def _settings_fit_the_method(self) -> Self:
        if self.method == "token":
            if unused := sorted(self.model_fields_set - {"method"}):
                raise ValueError(f'method "token" has no use for {", ".join(unused)}')
            return self
        if missing := [name for name in _OIDC if getattr(self, name) is None]:
            raise ValueError(f'method "oidc" needs {", ".join(missing)}')
        if "openid" not in (self.scope or "").split():
            raise ValueError(f'scope ("{self.scope}") must contain openid')
        return self

    def as_read_by_the_console(self, issuer: str) -> dict[str, Any]:
        """The member `sign_in` of console/config.json."""
        given = self.model_dump(exclude_none=True)
        return {**given, "authority": issuer} if self.method == "oidc" else given

    def require_tokens_that_are_accepted(self, auth: AuthConfig) -> None:
        """Raises ValueError if the API could not accept the tokens of this sign-in."""
        if self.method != "oidc" or auth.mode != "jwt":
            return
        permissions = [str(each) for each in Permission]
        if not set((self.scope or "").split()).intersection(permissions):
            raise ValueError(
                f'console.sign_in.scope ("{self.scope}") names no permission, and with auth.mode '
                f'"jwt" the API accepts only tokens whose scopes do: add some of '
                f"{', '.join(permissions)}"
            )

    @property
    def placeholder(self) -> str | None:
        """An endpoint that still ends in the reserved domain `.example`."""
        urls = (self.authorization_endpoint, self.token_endpoint, self.logout_endpoint)
        return next(
            (u for u in urls if u and (urlsplit(u).hostname or "").endswith(PLACEHOLDER_SUFFIX)),
            None,
        )


class ConsoleDomainConfig(DomainConfig, frozen=True):
    """The console's own domain name, at which CloudFront serves it and passes the API's paths on.

    The certificate is one of AWS Certificate Manager in the region us-east-1, where CloudFront
    looks for it.
    """

    name: Annotated[
        str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$", max_length=253)
    ]
    """The domain name, such as `console.payments.com`, in lower case."""
    certificate_arn: Annotated[
        str, Field(pattern=r"^arn:[\w-]+:acm:us-east-1:\d{12}:certificate/[\w-]+$")
    ]
    """The certificate of the name, in us-east-1. Costs: nothing; a public certificate is free of
    charge."""
    hosted_zone_id: Annotated[str | None, Field(pattern=r"^Z[A-Z0-9]+$")] = None
    """The public hosted zone of Route 53, in this account, to which the name is added. None: you
    add a record of your own that points to the output `DomainTarget` of the console's stack. Costs:
    queries of alias records are free of charge, the zone is not."""


class ConsoleConfig(StagePart, frozen=True):
    """The web console, and what serves it ([console](console.md)).

    `api`: a function of its own beside the API, at `/console` below the API's address.

    `cloudfront`: a private bucket behind CloudFront, which passes `/v1/*` on to the API, so that
    the console and the API that it calls are one origin.
    """

    serve: Literal["api", "cloudfront"]
    """What serves the console's files; the stage local has only `api`. Costs: `api` an invocation
    for each file, `cloudfront` its requests and transfer ([costs](costs.md#the-console))."""
    sign_in: SignInConfig
    domain: ConsoleDomainConfig | None = None
    """Of `cloudfront`, which needs it: at CloudFront's own names it also accepts TLS 1.0."""

    @model_validator(mode="after")
    def _settings_fit_what_serves(self) -> Self:
        if self.serve == "cloudfront" and self.domain is None:
            raise ValueError('serve "cloudfront" needs domain, with a certificate in us-east-1')
        if self.serve == "api" and self.domain is not None:
            raise ValueError(
                'serve "api" has no use for domain: the console has the address of the API'
            )
        return self

    def document(self, stage: str, issuer: str) -> dict[str, Any]:
        """What the console reads as console/config.json."""
        return {"stage": stage, "sign_in": self.sign_in.as_read_by_the_console(issuer)}
