"""The dialog in which a change is confirmed."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import Locator, Page, expect

UUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class Dialog:
    """What will happen, the idempotency key, and then the outcome."""

    def __init__(self, page: Page, title: str) -> None:
        self.title = title
        self.root = page.get_by_role("dialog", name=title)
        self.key = self.root.get_by_text("Idempotency-Key").locator("code")
        self.outcome = self.root.get_by_role("status")
        self.error = self.root.get_by_role("alert")

    @classmethod
    def opened(cls, page: Page, button: Locator, title: str) -> Dialog:
        """The dialog that a button opens."""
        button.click()
        dialog = cls(page, title)
        expect(dialog.root).to_be_visible()
        return dialog

    def field(self, label: str) -> Locator:
        return self.root.get_by_label(label)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def must_show(self, *texts: str) -> Dialog:
        """The confirmation says what will happen, and under which key."""
        for text in texts:
            expect(self.root).to_contain_text(text)
        expect(self.key).to_have_text(UUID)
        return self

    def confirm(self, label: str) -> Dialog:
        self.button(label).click()
        return self

    def succeeded(self, *texts: str) -> Dialog:
        """The outcome, shown instead of the fields."""
        expect(self.outcome).to_be_visible()
        for text in texts:
            expect(self.outcome).to_contain_text(text)
        return self

    def close(self) -> None:
        self.button("Close").click()
        expect(self.root).to_be_hidden()
