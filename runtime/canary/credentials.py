"""The canary's API key: a secret that an operator makes (`make canary-merchant`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import AfterValidator, BaseModel, Field, ValidationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost"})


class CredentialsMissing(Exception):
    """The secret does not exist, cannot be read, or is not what `make canary-merchant` writes."""


def _keeps_the_key_secret(url: str) -> str:
    """The key is sent there: require TLS, except to this machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _THIS_MACHINE):
        raise ValueError("should begin with https://, or with http:// on this machine")
    return url.rstrip("/")


class CanaryCredentials(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """What the secret contains, as JSON.

    `api_url` ends before /v1. `account_id` is an account of the merchant whose balance stays zero.
    """

    api_url: Annotated[str, AfterValidator(_keeps_the_key_secret)]
    merchant_id: Annotated[str, Field(pattern=r"^mer_\w+$")]
    account_id: Annotated[str, Field(pattern=r"^acc_\w+$")]
    api_key: Annotated[str, Field(min_length=1, repr=False)]
    api_key_id: Annotated[str, Field(min_length=1)]
    """By which the key is revoked when another one takes its place."""


def read_credentials(
    secrets: SecretsManagerClient, secret_arn: str, stage: str
) -> CanaryCredentials:
    """Read the secret at each run, so that a new key takes effect without a deployment.

    Raises:
        CredentialsMissing: the message says what to do, and never contains the secret.
    """
    to_do = f"make it: make canary-merchant STAGE={stage}"
    try:
        text = secrets.get_secret_value(SecretId=secret_arn)["SecretString"]
        return CanaryCredentials.model_validate(json.loads(text))
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise CredentialsMissing(f"{secret_arn} cannot be read ({code}); {to_do}") from error
    except BotoCoreError as error:
        raise CredentialsMissing(f"{secret_arn} cannot be read ({error})") from error
    except ValidationError as error:
        names = ", ".join(
            ".".join(map(str, each["loc"])) for each in error.errors(include_input=False)
        )
        raise CredentialsMissing(f"{secret_arn} has no valid {names}; {to_do}") from None
    except (KeyError, ValueError):
        raise CredentialsMissing(f"{secret_arn} is not JSON; {to_do}") from None
