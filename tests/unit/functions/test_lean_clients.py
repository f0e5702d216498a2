"""Where the lean clients connect: as botocore does in the same environment, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.session import Session
from botocore.utils import get_environ_proxies

from runtime.aws.json_client import Access
from runtime.aws.transport import Endpoint, Limits
from runtime.dynamodb.client.lean import LeanClient
from runtime.encryption.lean_kms import LeanKms
from runtime.functions.composition import aws_clients
from runtime.functions.composition.lean_clients import (
    CHANGES_CONNECTIONS,
    CONFIGURATION_FILES,
    access_to,
    endpoint_of,
)
from runtime.settings import RetriesSettings

LIMITS = Limits(connect_seconds=2, read_seconds=5, connections=4)
LAMBDA = {
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "the secret",
    "AWS_SESSION_TOKEN": "the token",
    "AWS_LAMBDA_FUNCTION_NAME": "process",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


SERVICES = ("dynamodb", "kms")


def made(environment: dict[str, str], service: str = "dynamodb") -> Access | None:
    return access_to(service, environment, LIMITS, lambda: datetime.now(UTC))


SESSION = Session()
COMMERCIAL = SESSION.get_available_regions("dynamodb", "aws")
OTHERS = {
    region
    for partition in SESSION.get_available_partitions()
    for region in SESSION.get_available_regions("dynamodb", partition, allow_non_regional=True)
} - set(COMMERCIAL)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("region", COMMERCIAL)
def test_the_endpoint_of_a_region_is_botocores(region: str, service: str) -> None:
    endpoint = endpoint_of(service, {**LAMBDA, "AWS_DEFAULT_REGION": region})
    assert endpoint is not None
    botocores = SESSION.create_client(service, region_name=region).meta.endpoint_url
    assert endpoint.url == f"{botocores}/"


@pytest.mark.parametrize("region", sorted(OTHERS))
def test_other_partitions_and_pseudo_regions_are_left_to_botocore(region: str) -> None:
    assert all(
        endpoint_of(service, {**LAMBDA, "AWS_DEFAULT_REGION": region}) is None
        for service in SERVICES
    )


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, Endpoint("http", "127.0.0.1", 4566)),
        ({"AWS_ENDPOINT_URL": "http://localhost/"}, Endpoint("http", "localhost")),
        ({"AWS_ENDPOINT_URL": "https://aws.test:443"}, Endpoint("https", "aws.test")),
        (
            {
                "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
                "AWS_ENDPOINT_URL_DYNAMODB": "https://own.test:8443",
            },
            Endpoint("https", "own.test", 8443),
        ),
        ({"AWS_ENDPOINT_URL": ""}, Endpoint("https", "dynamodb.eu-west-1.amazonaws.com")),
    ],
)
def test_a_configured_endpoint_is_botocores(
    variables: dict[str, str], endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert endpoint_of("dynamodb", {**LAMBDA, **variables}) == endpoint
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    botocores = Session().create_client("dynamodb").meta.endpoint_url
    assert botocores.rstrip("/").removesuffix(":443") == endpoint.url.rstrip("/")


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566/path"},
        {"AWS_ENDPOINT_URL": "http://user:word@127.0.0.1:4566"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566?x=1"},
        {"AWS_ENDPOINT_URL": "http://[::1]:4566"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:port"},
        {"AWS_ENDPOINT_URL": "ftp://127.0.0.1"},
        {"AWS_ENDPOINT_URL": "127.0.0.1:4566"},
        {"AWS_DEFAULT_REGION": ""},
        {"AWS_DEFAULT_REGION": "local"},
        {"AWS_CONFIG_FILE": __file__},
        {"AWS_SHARED_CREDENTIALS_FILE": __file__},
        {"https_proxy": "http://proxy.test"},
        *({name: "1"} for name in sorted(CHANGES_CONNECTIONS)),
    ],
)
def test_what_is_not_understood_is_left_to_botocore(variables: dict[str, str]) -> None:
    for service in SERVICES:
        assert made(LAMBDA, service) is not None
        assert made({**LAMBDA, **variables}, service) is None


def test_each_service_may_have_an_endpoint_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://all.test:1", "AWS_ENDPOINT_URL_KMS": "http://kms.test"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for service, url in [("dynamodb", "http://all.test:1/"), ("kms", "http://kms.test/")]:
        endpoint = endpoint_of(service, {**LAMBDA, **variables})
        assert endpoint is not None
        assert endpoint.url == url
        assert f"{Session().create_client(service).meta.endpoint_url}/" == url


def test_a_configuration_file_in_its_usual_place_is_left_to_botocore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    usual = {name: value for name, value in LAMBDA.items() if name not in CONFIGURATION_FILES}
    assert made(usual) is not None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nuse_fips_endpoint = true\n")
    assert made(usual) is None


READ_BY_US = {"AWS_CA_BUNDLE", "AWS_DEFAULT_REGION", *CONFIGURATION_FILES}
OF_OTHER_SERVICES = {
    "AWS_DISABLE_HOST_PREFIX_INJECTION",
    "AWS_DISABLE_REQUEST_COMPRESSION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
    "AWS_S3_DISABLE_EXPRESS_SESSION_AUTH",
    "AWS_STS_REGIONAL_ENDPOINTS",
}
OF_BOTOCORES_CREDENTIALS = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_IMDS_USE_IPV6",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_METADATA_SERVICE_TIMEOUT",
}
SET_BY_OUR_CLIENTS = {"AWS_DEFAULTS_MODE", "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"}
WITHOUT_EFFECT = {"AWS_CSM_CLIENT_ID", "AWS_CSM_HOST", "AWS_CSM_PORT", "AWS_SDK_UA_APP_ID"}
"""Of client-side monitoring, which CSM_ENABLED turns on, and of the user agent."""


def test_every_variable_of_botocore_is_understood() -> None:
    """A new version of botocore may read more: then decide where it belongs."""
    read: set[str] = set()
    for _, names, *_ in BOTOCORE_DEFAUT_SESSION_VARIABLES.values():
        read |= {names} if isinstance(names, str) else set(names or ())
    known = READ_BY_US | OF_OTHER_SERVICES | OF_BOTOCORES_CREDENTIALS | SET_BY_OUR_CLIENTS
    assert read - known - WITHOUT_EFFECT - CHANGES_CONNECTIONS == set()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_botocore_would_use_is_not_passed_by(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy.test")
    assert get_environ_proxies("https://dynamodb.eu-west-1.amazonaws.com")
    assert endpoint_of("dynamodb", {**LAMBDA, **os.environ}) is None


def test_lambdas_keys_are_taken_from_its_environment() -> None:
    access = made(LAMBDA)
    assert access is not None
    key = access.credentials()
    assert (key.access_key_id, key.secret_key, key.token) == (
        "ASIAEXAMPLE",
        "the secret",
        "the token",
    )


def test_other_keys_come_from_botocores_providers_and_are_renewed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """AWS_CREDENTIAL_EXPIRATION makes botocore read the variables again before they expire."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAFIRST")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2001-01-01T00:00:00Z")
    expiring = {**LAMBDA, "AWS_CREDENTIAL_EXPIRATION": "2001-01-01T00:00:00Z"}
    with pytest.raises(RuntimeError, match="expired"):
        made(expiring)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2999-01-01T00:00:00Z")
    access = made(expiring)
    assert access is not None
    assert access.credentials().access_key_id == "ASIAFIRST"


def test_keys_with_an_account_are_left_to_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends them to the account's own endpoint."""
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    without_keys = {name: LAMBDA[name] for name in ("AWS_DEFAULT_REGION", *CONFIGURATION_FILES)}
    assert made(without_keys) is None


def test_without_any_keys_botocore_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    without_keys = {name: LAMBDA[name] for name in ("AWS_DEFAULT_REGION", *CONFIGURATION_FILES)}
    assert made(without_keys) is None


def test_botocores_session_is_not_loaded_where_lambda_has_keys() -> None:
    code = (
        "import sys, os\n"
        "from datetime import UTC, datetime\n"
        "from runtime.aws.transport import Limits\n"
        "from runtime.functions.composition.lean_clients import access_to\n"
        "assert access_to('kms', os.environ, Limits(1, 1, 1), lambda: datetime.now(UTC))\n"
        "print([m for m in ('boto3', 'botocore.session', 'botocore.client') if m in sys.modules])"
    )
    python = [sys.executable, "-c", code]
    done = subprocess.run(python, env=LAMBDA, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("setting", "lean"),
    [(None, True), ("", True), ("lean", True), ("botocore", False), ("LEAN", False)],
)
def test_the_setting_chooses_the_client(setting: str | None, lean: bool) -> None:
    environment = {"STAGE": "dev", "SERVICE": "retries", "DYNAMODB_CLIENT": setting}
    settings = RetriesSettings.model_construct(
        **{name.lower(): value for name, value in environment.items()}
    )
    assert settings.uses_lean_client is lean


def test_a_lean_client_is_made_when_it_is_asked_for_and_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert isinstance(aws_clients.dynamodb(lean=True), LeanClient)
    assert isinstance(aws_clients.data_key_kms(lean=True), LeanKms)
    assert not isinstance(aws_clients.dynamodb(lean=False), LeanClient)
    assert not isinstance(aws_clients.data_key_kms(lean=False), LeanKms)
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert not isinstance(aws_clients.dynamodb(lean=True), LeanClient)
    assert not isinstance(aws_clients.data_key_kms(lean=True), LeanKms)


def test_a_process_without_a_home_directory_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one of a user id without an entry in /etc/passwd, in a container."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(Path, "home", lambda: pytest.fail("pathlib raises there"))
    assert endpoint_of("dynamodb", {"AWS_DEFAULT_REGION": "eu-west-1"}) is not None
