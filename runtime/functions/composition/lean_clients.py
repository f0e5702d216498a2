"""Connects the lean clients by the environment, where they connect exactly as botocore does.

Whatever it does not understand means botocore: another partition, a proxy, a configuration file,
FIPS or account endpoints.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import certifi
from botocore.exceptions import NoCredentialsError

from runtime.aws.json_client import Access
from runtime.aws.signing import Credentials, Signer
from runtime.aws.transport import Endpoint, Limits, Transport

if TYPE_CHECKING:
    from botocore.credentials import Credentials as BotocoreCredentials

CHANGES_CONNECTIONS: Final = frozenset(
    {
        "ALL_PROXY",
        "AWS_ACCOUNT_ID",
        "AWS_ACCOUNT_ID_ENDPOINT_MODE",
        "AWS_AUTH_SCHEME_PREFERENCE",
        "AWS_CSM_ENABLED",
        "AWS_DATA_PATH",
        "AWS_DEFAULT_PROFILE",
        "AWS_ENDPOINT_DISCOVERY_ENABLED",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
        "AWS_PROFILE",
        "AWS_SIGV4A_SIGNING_REGION_SET",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "BOTOCORE_TCP_KEEPALIVE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
    }
)
"""Variables that change how botocore connects or signs, in ways that the lean client lacks."""

NO_ACCOUNT_ENDPOINTS: Final = ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
CHANGES_NOTHING: Final = frozenset({NO_ACCOUNT_ENDPOINTS})
"""Variables, with their values, that ask only for what the lean client does anyway."""

CONFIGURATION_FILES: Final[Mapping[str, str]] = {
    "AWS_CONFIG_FILE": "~/.aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
}
"""They may change all that the variables do. Lambda has none."""

_COMMERCIAL_REGION: Final = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+")
"""Regions of the partition `aws` (botocore's partitions.json); their domain is amazonaws.com."""
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+")
_STATIC_KEYS_MAY_NOT_HAVE: Final = ("AWS_CREDENTIAL_EXPIRATION", "AWS_SECURITY_TOKEN")

CredentialsSource = Callable[[], Credentials]


def access_to(
    service: str, environment: Mapping[str, str], limits: Limits, now: Callable[[], datetime]
) -> Access | None:
    """Access to an API (`dynamodb`, `kms`), or None if botocore has to connect."""
    region, endpoint = environment.get("AWS_DEFAULT_REGION", ""), endpoint_of(service, environment)
    if endpoint is None:
        return None
    credentials = _static_credentials(environment) or _provided_credentials(environment)
    if credentials is None:
        return None
    bundle = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE")
    transport = Transport(endpoint, limits, bundle or certifi.where())
    return Access(transport, Signer(region, service), credentials, now)


def endpoint_of(service: str, environment: Mapping[str, str]) -> Endpoint | None:
    """The endpoint that botocore uses in this environment; None if that takes more to know."""
    if any(
        value and name.upper() in CHANGES_CONNECTIONS and (name, value) not in CHANGES_NOTHING
        for name, value in environment.items()
    ):
        return None
    if any(
        os.path.isfile(os.path.expanduser(environment.get(name, usual)))  # noqa: PTH111, PTH113 - without a home directory, Path's raises
        for name, usual in CONFIGURATION_FILES.items()
    ):
        return None
    region = environment.get("AWS_DEFAULT_REGION", "")
    if _COMMERCIAL_REGION.fullmatch(region) is None:
        return None
    own = environment.get(f"AWS_ENDPOINT_URL_{service.upper()}")
    url = own or environment.get("AWS_ENDPOINT_URL")
    return _parsed(url) if url else Endpoint("https", f"{service}.{region}.amazonaws.com")


def _parsed(url: str) -> Endpoint | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    scheme = parts.scheme
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if not plain or _HOST.fullmatch(host) is None:
        return None
    if scheme == "https":
        return Endpoint("https", host, None if port == 443 else port)
    if scheme == "http":
        return Endpoint("http", host, None if port == 80 else port)
    return None


def _static_credentials(environment: Mapping[str, str]) -> CredentialsSource | None:
    """Lambda's: the same for the life of the execution environment."""
    key_id = environment.get("AWS_ACCESS_KEY_ID")
    secret_key = environment.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret_key:
        return None
    if any(environment.get(name) for name in _STATIC_KEYS_MAY_NOT_HAVE):
        return None
    static = Credentials(key_id, secret_key, environment.get("AWS_SESSION_TOKEN") or None)
    return lambda: static


def _provided_credentials(environment: Mapping[str, str]) -> CredentialsSource | None:
    """From botocore's chain of providers, which renews them before they expire."""
    from botocore.session import get_session  # noqa: PLC0415 - not loaded where Lambda has keys

    found: BotocoreCredentials | None = get_session().get_credentials()
    if found is None:
        return None  # botocore's client reports it
    name, disabled = NO_ACCOUNT_ENDPOINTS
    if found.get_frozen_credentials().account_id and environment.get(name) != disabled:
        return None  # botocore's client uses the account's own endpoint

    def current() -> Credentials:
        frozen = found.get_frozen_credentials()
        if not frozen.access_key or not frozen.secret_key:
            raise NoCredentialsError
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return current
