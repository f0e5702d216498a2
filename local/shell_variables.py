"""`make env`: variables for a shell that calls the local stage, as the guides do."""

from __future__ import annotations

import os
import shlex

from local.auth import MERCHANT_PERMISSIONS, Grant, token
from local.deploy import up
from local.emulator.ports import parse_port
from local.progress import Progress
from local.seed import seeded_merchant
from local.workspace import Workspace


def print_variables(workspace: Workspace, progress: Progress) -> None:
    """Deploy if needed, and print assignments for a POSIX shell, and nothing else.

    API (before /v1), the merchant of `make seed` with its webhook secret, a token of it and a token
    of an operator, each valid for an hour.

    Raises:
        LocalError: the local stage cannot be started, or its API refused.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    merchant = seeded_merchant(stack, workspace)
    grant = Grant(MERCHANT_PERMISSIONS, merchant_id=merchant["id"])
    variables = {
        "API": stack.api_url,
        "MERCHANT": merchant["id"],
        "TOKEN": token(grant, workspace),
        "OPERATOR_TOKEN": token(Grant.operator(), workspace),
        "WEBHOOK_SECRET": merchant["webhook_secret"],
    }
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
