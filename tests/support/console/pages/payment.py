"""One payment: its facts, its timeline, and what can be done to it."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.support.console.pages.shell import Shell


class PaymentPage(Shell):
    """The buttons are there only while the payment's state allows what they do."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self.capture = self.main.get_by_role("button", name="Capture", exact=True)
        self.cancel = self.main.get_by_role("button", name="Cancel payment", exact=True)
        self.refund = self.main.get_by_role("button", name="Refund", exact=True)
        self.status = self.fact("Status")
        self.refunded = self.fact("Refunded")
