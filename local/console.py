"""`make console`: the console of the local stage, signed in, in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from urllib.parse import quote

from local.auth import MERCHANT_PERMISSIONS, Grant, token
from local.deploy import up
from local.emulator.ports import parse_port
from local.merchants import require_merchant
from local.progress import Progress
from local.workspace import Workspace

Browser = Callable[[str], bool]
"""Opens an address; whether it did."""


def console_url(api_url: str, credential: str) -> str:
    """The console's address, signed in. A browser sends what follows the # to no server."""
    return f"{api_url}/console#token={quote(credential, safe='')}"


def show_console(
    workspace: Workspace,
    progress: Progress,
    *,
    merchant: str = "",
    may_open: bool = True,
    browser: Browser = webbrowser.open,
) -> None:
    """Deploy if needed, print the console's address and nothing else, and open it in a browser.

    Args:
        workspace: the local stage.
        progress: where the steps are shown.
        merchant: sign in as this merchant; empty: as an operator.
        may_open: False: only print. It is not opened either where the address goes to a program.
        browser: what opens it.

    Raises:
        LocalError: the local stage cannot be started, or has no such merchant.
    """
    port = os.environ.get("PORT") or None
    stack = up(workspace, None if port is None else parse_port(port), progress)
    if merchant:
        require_merchant(stack, workspace, merchant)
        grant = Grant(MERCHANT_PERMISSIONS, merchant_id=merchant)
    else:
        grant = Grant.operator()
    url = console_url(stack.api_url, token(grant, workspace))
    print(url, flush=True)
    if may_open and sys.stdout.isatty() and not browser(url):
        progress.say("No browser could be opened: open the address above yourself.")
