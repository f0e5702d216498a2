"""The lean clients and botocore's, which judges them, against one endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from runtime.aws.json_client import Access
from runtime.aws.transport import Limits
from runtime.dynamodb.client.lean import LeanClient
from runtime.encryption.lean_kms import LeanKms
from runtime.functions.composition.lean_clients import access_to
from tests.support.engines.engine import REGION
from tests.support.engines.scripted_server import Request

KEY_ID, SECRET, TOKEN = "ASIAEXAMPLE", "the-secret-key", "the/session+token=="
READ_SECONDS: Final = 0.3
"""Only a server that never answers is waited for."""


def lean(
    url: str,
    now: Callable[[], datetime] | None = None,
    read_seconds: float = READ_SECONDS,
    **variables: str,
) -> LeanClient:
    """The lean client for `url`, with temporary credentials as Lambda has them."""
    return LeanClient(_access("dynamodb", url, now, read_seconds, variables))


def lean_kms(
    url: str, attempts: int = 1, pause: Callable[[float], None] = lambda _: None
) -> LeanKms:
    """The same for KMS, without pauses."""
    return LeanKms(_access("kms", url, None, READ_SECONDS, {}), attempts, pause)


def _access(
    service: str,
    url: str,
    now: Callable[[], datetime] | None,
    read_seconds: float,
    variables: Mapping[str, str],
) -> Access:
    environment = {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": url,
        **variables,
    }
    limits = Limits(connect_seconds=5, read_seconds=read_seconds, connections=4)
    access = access_to(service, environment, limits, now or (lambda: datetime.now(UTC)))
    assert access is not None
    return access


def botocores(
    url: str, read_seconds: float = READ_SECONDS, service: str = "dynamodb", attempts: int = 1
) -> Any:
    """botocore's client for `url`, as the runtime makes it."""
    make: Any = boto3.client
    return make(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        aws_session_token=TOKEN,
        config=Config(
            connect_timeout=5,
            read_timeout=read_seconds,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            parameter_validation=False,
            proxies={},
        ),
    )


class Outcome(NamedTuple):
    """What a call came to: `kind` is "answer", or the name of an exception."""

    kind: str
    what: Any


def outcome(client: Any, method: str, request: dict[str, Any]) -> Outcome:
    """Call, and return everything that the caller can see.

    But for botocore's note, in every answer, that it will not try again.
    """
    try:
        answer = getattr(client, method)(**request)
        answer["ResponseMetadata"].pop("MaxAttemptsReached", None)
        return Outcome("answer", answer)
    except ClientError as error:
        response: Any = error.response
        response["ResponseMetadata"].pop("MaxAttemptsReached", None)
        text = str(error).replace(" (reached max retries: 0)", "")
        return Outcome(type(error).__name__, (response, error.operation_name, text))
    except BotoCoreError as error:
        return Outcome(type(error).__name__, [base.__name__ for base in type(error).__mro__])


def signature_by_botocore(request: Request, service: str = "dynamodb") -> str:
    """The Authorization header that botocore gives this request at the instant of its own."""
    signer = SigV4Auth(ReadOnlyCredentials(KEY_ID, SECRET, TOKEN), service, REGION)
    given = request.headers["authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: request.headers[name] for name in names}
    again: Any = AWSRequest("POST", f"http://{headers['host']}/", headers, request.body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    canonical = signer.canonical_request(again)
    signature = signer.signature(signer.string_to_sign(again, canonical), again)
    scope = signer.scope(again)
    return (
        f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={signature}"
    )


def document(request: Request) -> Any:
    """The JSON of a request."""
    return json.loads(request.body)
