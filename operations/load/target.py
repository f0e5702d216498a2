"""What a load test runs against: a stage's API, a merchant, and accounts to move money between."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import httpx

from local.api_client import ApiClient, Reply
from local.auth import Grant, token
from local.deploy import up
from local.emulator.ports import parse_port
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace
from operations.deployed import output_of
from operations.upload_settlement import TOKEN_VARIABLE

LOCAL: Final = "local"
PERMISSIONS: Final = ("payments", "refunds", "accounts", "transfers", "reports")
SANDBOX_METHOD: Final = "tok_approved"
CURRENCY: Final = "USD"
OPENING_BALANCE: Final = 1_000_000_000
"""Minor units of each account: more than a run moves."""
SETUP_THREADS: Final = 8
TOKEN_MARGIN_SECONDS: Final = 3_600
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Wanted:
    """What the person asks for. `stage` None: the local one. `merchant` None: a new one."""

    stage: str | None = None
    merchant: str | None = None
    payment_method: str = SANDBOX_METHOD
    moves_real_money: bool = False


@dataclass(frozen=True)
class Target:
    """Where the requests go.

    `bearer` is what the clients send: an API key made for the run, or the merchant's own token.
    `wallets`: opening balances by account, in minor units; none with a merchant's token, because
    only operators can fund accounts. `is_own_merchant`: nothing but this run uses the merchant, so
    its totals must agree as well.
    """

    api_url: str
    bearer: str = field(repr=False)
    run_id: str
    merchant_id: str | None
    wallets: dict[str, int]
    is_own_merchant: bool
    payment_method: str = SANDBOX_METHOD
    currency: str = CURRENCY
    transport: httpx.BaseTransport | None = None
    api_key_id: str | None = None

    @property
    def is_sandbox(self) -> bool:
        """Whether the payments are the sandbox processor's, which has a token that is declined."""
        return self.payment_method == SANDBOX_METHOD


def require_permission_to_move_money(wanted: Wanted, workspace: Workspace) -> None:
    """Raises LocalError for a stage that moves real money, unless the person has said so."""
    if wanted.moves_real_money or wanted.stage in (None, LOCAL):
        return
    context = json.loads((workspace.root / "cdk.json").read_text())["context"]
    settings = context["stages"].get(wanted.stage)
    if settings is None or settings.get("processors") != "test":
        known = "is not in cdk.json" if settings is None else "is for live payments"
        raise LocalError(
            f"The stage {wanted.stage!r} {known}: a load test would move real money.",
            hint="If that is what you want: make load STAGE=… ARGS=--moves-real-money",
        )


def connect(wanted: Wanted, seconds: float, workspace: Workspace, progress: Progress) -> ApiClient:
    """A client with the token that the run starts from: an operator's, or a merchant's.

    Raises:
        LocalError: the stage cannot be reached, or its token is missing.
    """
    if wanted.stage in (None, LOCAL):
        port = os.environ.get("PORT") or None
        stack = up(workspace, None if port is None else parse_port(port), progress)
        grant = Grant.operator(int(seconds) + TOKEN_MARGIN_SECONDS)
        return ApiClient(stack.api_url, token(grant, workspace))
    assert wanted.stage is not None
    bearer = os.environ.get(TOKEN_VARIABLE)
    if not bearer:
        raise LocalError(
            f"There is no token for the stage {wanted.stage!r}.",
            hint=f"make load STAGE={wanted.stage} TOKEN=…, or put it into {TOKEN_VARIABLE}: an "
            "operator's token, or a merchant's with the permissions "
            f"{', '.join(PERMISSIONS)}.",
        )
    return ApiClient(output_of(wanted.stage, "api", "ApiUrl"), bearer)


def prepare(client: ApiClient, wanted: Wanted, wallets: int) -> Target:
    """Create what the run needs: with an operator's token a merchant, an API key and accounts.

    With a merchant's token nothing: its own payments, and no transfers.

    Raises:
        LocalError: the API refuses it.
    """
    run_id = uuid4().hex[:12]
    merchant_id = wanted.merchant or _new_merchant(client, run_id)
    if merchant_id is None:
        assert client.bearer is not None
        _require_readable(client)
        return Target(client.api_url, client.bearer, run_id, None, {}, False, wanted.payment_method)
    with ThreadPoolExecutor(SETUP_THREADS) as pool:
        opened = list(pool.map(partial(_wallet, client, merchant_id, run_id), range(wallets)))
    made = _api_key(client, merchant_id, run_id)  # last: whoever has it must revoke it
    return Target(
        client.api_url,
        made["secret"],
        run_id,
        merchant_id,
        dict.fromkeys(opened, OPENING_BALANCE),
        is_own_merchant=wanted.merchant is None,
        payment_method=wanted.payment_method,
        api_key_id=made["id"],
    )


def release(client: ApiClient, target: Target) -> None:
    """Revoke the API key of the run. Merchant, accounts and payments stay as they are."""
    if target.api_key_id is not None:
        reply = client.post(f"/v1/api-keys/{target.api_key_id}/revoke", {})
        _require(reply, HTTPStatus.OK, "revoke the API key of the run")


def _new_merchant(client: ApiClient, run_id: str) -> str | None:
    """Id of a merchant of the run's own; None if the token is not an operator's."""
    body = {"name": f"Load test {run_id}", "email": f"load-{run_id}@load-tests.example"}
    reply = client.post("/v1/merchants", body, key=f"load-{run_id}")
    if reply.status == HTTPStatus.FORBIDDEN:
        return None
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        raise LocalError(
            f"The API created no merchant: {_detail(reply)}.",
            hint="On a stage for live payments, name one: MERCHANT=mer_…",
        )
    merchant_id: str = _require(reply, HTTPStatus.CREATED, "create a merchant")["id"]
    return merchant_id


def _api_key(client: ApiClient, merchant_id: str, run_id: str) -> Any:
    body = {
        "merchant_id": merchant_id,
        "name": f"load test {run_id}",
        "permissions": list(PERMISSIONS),
    }
    reply = client.post("/v1/api-keys", body, key=f"load-{run_id}")
    return _require(reply, HTTPStatus.CREATED, f"create an API key of {merchant_id}")


def _wallet(client: ApiClient, merchant_id: str, run_id: str, number: int) -> str:
    body = {
        "merchant_id": merchant_id,
        "account_type": "wallet",
        "currency": CURRENCY,
        "opening_balance": OPENING_BALANCE,
    }
    reply = client.post("/v1/accounts", body, key=f"load-{run_id}-{number}")
    account_id: str = _require(reply, HTTPStatus.CREATED, "open an account")["id"]
    return account_id


def _require_readable(client: ApiClient) -> None:
    for path in ("/v1/payments", "/v1/payments/summary"):
        _require(client.get(path), HTTPStatus.OK, f"read {path}")


def _require(reply: Reply, status: HTTPStatus, what: str) -> Any:
    if reply.status in _REFUSED:
        raise LocalError(
            f"The token may not {what}: {reply.status} {_detail(reply)}.",
            hint=f"It needs {', '.join(PERMISSIONS)}, or be an operator's. Is it of this stage, "
            "and not expired?",
        )
    if reply.status == HTTPStatus.NOT_FOUND:
        raise LocalError(
            f"The API could not {what}: {_detail(reply)}.",
            hint="Is MERCHANT a merchant of this stage?",
        )
    return reply.require(status)


def _detail(reply: Reply) -> str:
    try:
        body = reply.body
    except ValueError:
        return reply.text[:200]
    return str(body.get("detail") or body.get("message") or "").rstrip(".")
