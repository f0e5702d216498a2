"""The history of one resource, with what the browser and the API find in its hash chain."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.console.pages.shell import Shell


class HistoryPage(Shell):
    """Audit rows, newest first, each with the state of its link."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.here = self.section("Verified in this browser")
        self.there = self.section("What the API says")
        rows = self.main.get_by_role("list").filter(has=page.get_by_role("group")).locator("> li")
        self.verified = rows.filter(has_text="✓ hash and link verified")
        self.broken = rows.filter(has_text="✗ broken link")
