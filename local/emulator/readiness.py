"""Settings that the emulator takes only by API, and the wait until the stack answers."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from local.emulator.aws import Clients
from local.emulator.ministack import Emulator, died
from local.errors import DeployFailed

if TYPE_CHECKING:
    from mypy_boto3_apigatewayv2.type_defs import CorsTypeDef

HEALTH_TIMEOUT_SECONDS: Final = 60.0
_ATTEMPT_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.2
_API_TYPE: Final = "AWS::ApiGatewayV2::Api"
_BUCKET_TYPE: Final = "AWS::S3::Bucket"


class TableWithTtl(Protocol):
    """The attributes of a table's schema that this module needs."""

    @property
    def name(self) -> str: ...
    @property
    def ttl_attribute(self) -> str | None: ...


def set_ttls(clients: Clients, schemas: Iterable[TableWithTtl], tables: Mapping[str, str]) -> None:
    """Switch on the expiry that each schema declares.

    Raises:
        DeployFailed: a declared table was not deployed.
    """
    dynamodb = clients.dynamodb
    for schema in schemas:
        if schema.name not in tables:
            raise DeployFailed(
                f"The data stack has no table {schema.name!r}; it has {', '.join(sorted(tables))}.",
                hint="Its output `Tables` must name every table of runtime.tables.ALL_TABLES.",
            )
        if schema.ttl_attribute is None:
            continue
        table = tables[schema.name]
        known = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if known.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
            dynamodb.update_time_to_live(
                TableName=table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": schema.ttl_attribute},
            )


def set_locks(clients: Clients, bucket: str, assembly: Path) -> None:
    """Give the archive's bucket the lock in its synthesized template.

    The emulator enforces locks like S3, but ignores them in templates.
    """
    for file in sorted(assembly.glob("*.template.json")):
        for resource in json.loads(file.read_text()).get("Resources", {}).values():
            lock: Any = resource.get("Properties", {}).get("ObjectLockConfiguration")
            if resource["Type"] == _BUCKET_TYPE and lock:
                clients.files.put_object_lock_configuration(
                    Bucket=bucket, ObjectLockConfiguration=lock
                )


def set_cors(clients: Clients, api_id: str, assembly: Path) -> None:
    """Give the HTTP API the CORS rules in its synthesized template."""
    for file in sorted(assembly.glob("*.template.json")):
        for resource in json.loads(file.read_text()).get("Resources", {}).values():
            rules: Any = resource.get("Properties", {}).get("CorsConfiguration")
            if resource["Type"] == _API_TYPE and rules:
                clients.http_apis.update_api(
                    ApiId=api_id, CorsConfiguration=cast("CorsTypeDef", rules)
                )


def put_secret(clients: Clients, name: str, value: str) -> None:
    """Create a secret, or give it a new value."""
    secrets = clients.secrets
    try:
        secrets.create_secret(Name=name, SecretString=value)
    except secrets.exceptions.ResourceExistsException:
        secrets.put_secret_value(SecretId=name, SecretString=value)


def await_health(api_url: str, emulator: Emulator) -> None:
    """Wait until `/v1/health` answers 200.

    Raises:
        DeployFailed: it did not within `HEALTH_TIMEOUT_SECONDS`.
        EmulatorDied: the emulator did.
    """
    url = f"{api_url}/v1/health"
    deadline = time.monotonic() + HEALTH_TIMEOUT_SECONDS
    while (answer := _get(url)) != "200":
        emulator.require_alive()
        if time.monotonic() > deadline and not emulator.answers():
            raise died(emulator.log, f"has not answered for {HEALTH_TIMEOUT_SECONDS:.0f} s")
        if time.monotonic() > deadline:
            raise DeployFailed(
                f"{url} did not answer 200 within {HEALTH_TIMEOUT_SECONDS:.0f} s; last: {answer}",
                hint="The query function does not start; the emulator's log has its output.",
                log=emulator.log,
            )
        time.sleep(_POLL_SECONDS)


def _get(url: str) -> str:
    """The status, with the start of the body unless it is a success."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ATTEMPT_TIMEOUT_SECONDS) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as refused:
        return f"{refused.code} {refused.read(300).decode(errors='replace')}"
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        return str(error)
