"""Settings of the authorizer and of key rotation."""

from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from runtime.settings.base import Settings
from runtime.settings.table_uses import TableUses, allow, record_run

ACCESS_REFUSED: Final = "token refused"
"""Log message of the authorizer, with its `reason`. A metric counts it, and an alarm watches it."""


LONGEST_CACHE_SECONDS: Final = 300


class AuthorizerSettings(Settings, frozen=True):
    """The function that verifies bearer tokens and API keys.

    At most one source of public keys, for RS256 and ES256. HS256 only if its secret is configured.
    `cache_seconds`: how long the gateway caches a response.
    """

    TABLE_USES: ClassVar[TableUses] = {
        "api_keys": allow("GetItem", "UpdateItem"),
        "keys": allow("GetItem"),
    }

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)]
    index_key_arn: str
    cache_seconds: Annotated[int, Field(ge=0, le=LONGEST_CACHE_SECONDS)] = 60
    jwks_url: str | None = None
    jwks_secret_arn: str | None = None
    hs256_secret_arn: str | None = None
    jwks_cache_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    jwks_max_stale_seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] = 3_600
    """How long cached keys remain valid while their source is unavailable."""
    leeway_seconds: Annotated[int, Field(ge=0, le=60)] = 5

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.jwks_url is not None and self.jwks_secret_arn is not None:
            raise ValueError("set jwks_url or jwks_secret_arn, not both")
        if (self.jwks_url or self.jwks_secret_arn or self.hs256_secret_arn) is None:
            raise ValueError("set at least one of jwks_url, jwks_secret_arn and hs256_secret_arn")
        if self.jwks_max_stale_seconds < self.jwks_cache_seconds:
            raise ValueError("jwks_max_stale_seconds is below jwks_cache_seconds")
        return self


class RotationSettings(Settings, frozen=True):
    """The scheduled function that re-encrypts fields under current keys."""

    TABLE_USES: ClassVar[TableUses] = {
        "alerts": allow("PutItem"),
        "customers": allow("GetItem", "Scan", "UpdateItem"),
        "keys": allow("GetItem", "Query", "PutItem", "UpdateItem"),
        "merchants": allow("GetItem", "Scan", "UpdateItem"),
        "scheduled_runs": record_run("rotation"),
        "webhook_endpoints": allow("GetItem", "Scan", "UpdateItem"),
    }

    pii_key_arn: str
    pci_key_arn: str
    index_key_arn: str
    stop_before_timeout_seconds: Annotated[int, Field(ge=5, le=300)] = 30
