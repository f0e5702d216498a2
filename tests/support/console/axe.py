"""axe-core, which finds violations of WCAG 2.2 level AA in a page as it is shown."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from local.workspace import PROJECT_ROOT

TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
_SOURCE: Final = Path("node_modules/axe-core/axe.min.js")
_OPTIONS: Final = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
_RUN: Final = f"axe.run(document, {json.dumps(_OPTIONS)}).then((found) => found.violations)"


def violations(page: Page) -> list[str]:
    """What breaks a rule, with the elements that do."""
    session = page.context.new_cdp_session(page)
    try:
        # The debugger's own evaluation: the page's policy refuses any script from elsewhere.
        if _evaluated(session, "typeof axe === 'undefined'"):
            _evaluated(session, f"{_source()};true")
        return [_described(each) for each in _evaluated(session, _RUN)]
    finally:
        session.detach()


def _evaluated(session: Any, expression: str) -> Any:
    wanted = {"expression": expression, "awaitPromise": True, "returnByValue": True}
    answer = session.send("Runtime.evaluate", wanted)
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"]["value"]


@cache
def _source() -> str:
    return (PROJECT_ROOT / _SOURCE).read_text()


def _described(violation: Any) -> str:
    nodes = [f"{node['html'][:200]}: {node['failureSummary']}" for node in violation["nodes"][:3]]
    return f"{violation['id']} ({violation['impact']}): " + " | ".join(nodes)
