"""What must not happen in the browser: errors, refused requests, violations of the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response

LOST: Final = 0
"""The status of an answer that never arrived."""
FIRST_ERROR: Final = 400
_REPORT: Final = "reportPolicyViolation"
_LISTEN: Final = f"""
addEventListener("securitypolicyviolation", ({{ effectiveDirective, blockedURI, sourceFile }}) =>
  {_REPORT}(`${{effectiveDirective}} blocked ${{blockedURI}}, asked for by ${{sourceFile}}`));
"""
_NOT_LOADED: Final = "Failed to load resource"


@dataclass
class Watch:
    """Collects what goes wrong in all pages of a context, but for what a test expects."""

    problems: list[str] = field(default_factory=list)
    policy_violations: list[str] = field(default_factory=list)
    _expected: list[tuple[int, re.Pattern[str]]] = field(default_factory=list)
    _seen: set[tuple[int, re.Pattern[str]]] = field(default_factory=set)

    def over(self, context: BrowserContext) -> None:
        """Watch every page that the context opens."""
        context.expose_binding(_REPORT, lambda _source, text: self.policy_violations.append(text))
        context.add_init_script(_LISTEN)
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("console", self._message)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("response", self._response)

    def _message(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        where = message.location.get("url", "")
        if _NOT_LOADED in message.text and self._is_expected(where):
            return
        self.problems.append(f"console {message.type}: {message.text} ({where})")

    def _response(self, response: Response) -> None:
        if response.status < FIRST_ERROR:
            return
        for status, path in self._expected:
            if response.status == status and path.search(response.url):
                self._seen.add((status, path))
                return
        self.problems.append(f"{response.status} {response.request.method} {response.url}")

    def _is_expected(self, url: str) -> bool:
        return any(path.search(url) for _, path in self._expected)

    @contextmanager
    def expecting(self, status: int, path: str) -> Iterator[None]:
        """Answers with this status, or LOST, of addresses that match `path` are wanted here."""
        wanted = (status, re.compile(path))
        self._expected.append(wanted)
        yield
        assert status == LOST or wanted in self._seen, f"no answer {status} of {path}"

    def require_clean(self) -> None:
        """Fail the test if anything went wrong."""
        assert not self.policy_violations, self.policy_violations
        assert not self.problems, self.problems


@dataclass
class Tally:
    """What a run has checked, for its last line."""

    screens: set[str] = field(default_factory=set)
    actions: list[str] = field(default_factory=list)
    axe_runs: int = 0
    axe_violations: int = 0
    policy_violations: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.screens)} screens, {len(self.actions)} actions, "
            f"axe violations {self.axe_violations}, CSP violations {self.policy_violations}"
        )
