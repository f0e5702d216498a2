"""`make canary-merchant`: the canary's merchant, account and API key, and the secret that has them.

Called again, it replaces the key: the new one is in the secret before the old one is revoked.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.api_client import ApiClient, Reply
from local.deploy import up
from local.emulator.aws import Clients
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.deployed import output_of
from operations.upload_settlement import TOKEN_VARIABLE
from runtime.canary.credentials import CanaryCredentials, CredentialsMissing, read_credentials
from runtime.settings import CANARY_AMOUNT_MINOR, canary_secret_name

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

LOCAL: Final = "local"
PAYS: Final = ("accounts", "payments", "refunds")
READS: Final = ("accounts", "reports")
"""With live payments: none that moves money."""
PAYMENTS_PER_DAY: Final = 300
"""Three times as many as one in 15 minutes: more is not the canary."""


@dataclass(frozen=True)
class CanaryTarget:
    """The stage whose canary is set up. `api_url` is what its canary will call."""

    stage: str
    is_live: bool
    api_url: str
    operator: ApiClient
    secrets: SecretsManagerClient


def canary_target(
    workspace: Workspace, progress: Progress, *, stage: str | None, api_url: str | None
) -> CanaryTarget:
    """The local stage, started if needed, or one in AWS with an operator's token.

    Raises:
        LocalError: the stage or the token cannot be found.
    """
    if stage in (None, LOCAL):
        port = os.environ.get("PORT") or None
        stack = up(workspace, None if port is None else parse_port(port), progress)
        operator = ApiClient.of_operator(stack, workspace)
        secrets = Clients(stack.aws_endpoint_url).secrets
        return CanaryTarget(LOCAL, False, api_url or stack.api_url, operator, secrets)
    assert stage is not None
    token = os.environ.get(TOKEN_VARIABLE)
    if not token:
        raise LocalError(
            f"There is no token for the stage {stage!r}.",
            hint=f"Put an operator's token into {TOKEN_VARIABLE}.",
        )
    context = json.loads((workspace.root / "cdk.json").read_text())["context"]
    if stage not in context["stages"]:
        known = ", ".join(sorted(context["stages"]))
        raise LocalError(f"cdk.json has no stage {stage!r}.", hint=f"It has {known}.")
    is_live = context["stages"][stage].get("processors") == "live"
    url = api_url or output_of(stage, "api", "ApiUrl")
    return CanaryTarget(stage, is_live, url, ApiClient(url, token), boto3.client("secretsmanager"))


def has_canary(target: CanaryTarget) -> bool:
    """Whether the stage's canary has credentials, and they are for this API."""
    found = _existing(target)
    return found is not None and found.api_url == target.api_url


def set_up_canary(target: CanaryTarget, merchant: str | None = None) -> CanaryCredentials:
    """Make what the canary needs, or a new key for what it has. Returns what the secret contains.

    Raises:
        LocalError: the API or Secrets Manager refuses something; no key is left without a secret.
    """
    before = _existing(target)
    if before is not None and merchant in (None, before.merchant_id):
        merchant_id, account_id = before.merchant_id, before.account_id
    else:
        merchant_id = merchant or _new_merchant(target)
        account_id = _new_account(target, merchant_id)
    key = _new_key(target, merchant_id)
    made = CanaryCredentials(
        api_url=target.api_url,
        merchant_id=merchant_id,
        account_id=account_id,
        api_key=key["secret"],
        api_key_id=key["id"],
    )
    try:
        _store(target, made)
    except (BotoCoreError, ClientError) as error:
        _revoke(target, made.api_key_id)
        raise LocalError(
            f"The secret {canary_secret_name(target.stage)} could not be written: {error}.",
            hint="The new key was revoked. You need secretsmanager:CreateSecret and "
            "secretsmanager:PutSecretValue for it.",
        ) from error
    if before is not None:
        _revoke(target, before.api_key_id)
    return made


def _existing(target: CanaryTarget) -> CanaryCredentials | None:
    """What the secret contains; None if there is no such secret, or nothing usable in it."""
    try:
        return read_credentials(target.secrets, canary_secret_name(target.stage), target.stage)
    except CredentialsMissing as missing:
        cause = missing.__cause__
        if isinstance(cause, BotoCoreError) or (
            isinstance(cause, ClientError)
            and cause.response["Error"]["Code"] != "ResourceNotFoundException"
        ):
            raise LocalError(
                f"{missing}.", hint="You need secretsmanager:GetSecretValue for it."
            ) from missing
        return None


def _new_merchant(target: CanaryTarget) -> str:
    if target.is_live:
        raise LocalError(
            f"The stage {target.stage!r} is for live payments, where a merchant needs a processor "
            "account.",
            hint="Name a merchant that is for the canary alone: MERCHANT=mer_…",
        )
    body = {
        "name": "Canary",
        "email": f"canary-{uuid4().hex[:12]}@canary.example",
        # What a leaked key could do at most.
        "rate_limits": {
            "max_payment_amount": CANARY_AMOUNT_MINOR,
            "payments_per_day": PAYMENTS_PER_DAY,
        },
    }
    made = _made(target.operator.post("/v1/merchants", body), "create a merchant")
    merchant_id: str = made["id"]
    return merchant_id


def _new_account(target: CanaryTarget, merchant_id: str) -> str:
    """An account that stays empty, for a canary that only reads."""
    body = {"merchant_id": merchant_id, "account_type": "wallet", "currency": "USD"}
    made = _made(target.operator.post("/v1/accounts", body), "open an account")
    account_id: str = made["id"]
    return account_id


def _new_key(target: CanaryTarget, merchant_id: str) -> Any:
    body = {
        "merchant_id": merchant_id,
        "name": "canary",
        "permissions": list(READS if target.is_live else PAYS),
    }
    return _made(target.operator.post("/v1/api-keys", body), "create an API key")


def _store(target: CanaryTarget, made: CanaryCredentials) -> None:
    name, text = canary_secret_name(target.stage), made.model_dump_json()
    try:
        target.secrets.create_secret(Name=name, SecretString=text)
    except target.secrets.exceptions.ResourceExistsException:
        target.secrets.put_secret_value(SecretId=name, SecretString=text)


def _revoke(target: CanaryTarget, key_id: str) -> None:
    reply = target.operator.post(f"/v1/api-keys/{key_id}/revoke", {})
    if reply.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
        reply.require(HTTPStatus.OK)


def _made(reply: Reply, what: str) -> Any:
    if reply.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise LocalError(
            f"The token may not {what}: {reply.status}.",
            hint=f"{TOKEN_VARIABLE} has to be an operator's token of this stage.",
        )
    return reply.require(HTTPStatus.CREATED)
