"""A list: filters, rows, pages."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.support.console.pages.shell import Shell


class ListPage(Shell):
    """A screen whose main part is a table."""

    def __init__(self, page: Page, caption: str) -> None:
        super().__init__(page)
        self.table = self.main.get_by_role("table", name=caption)
        self.rows = self.table.get_by_role("row").filter(has=page.get_by_role("cell"))
        self.pages = self.main.get_by_role("navigation", name=f"Pages of {caption}")
        self.next = self.pages.get_by_role("button", name="Next page")
        self.previous = self.pages.get_by_role("button", name="Previous page")
        self.refresh = self.pages.get_by_role("button", name="Refresh")

    def row(self, text: str) -> Locator:
        return self.rows.filter(has_text=text)

    def link(self, text: str) -> Locator:
        return self.table.get_by_role("link", name=text)

    def ids(self) -> list[str]:
        """Text of the first cell of each row."""
        return [row.get_by_role("cell").first.inner_text() for row in self.rows.all()]

    def filter(self, **values: str) -> None:
        """Set filters by their labels (`_` for a space), and apply them."""
        for name, value in values.items():
            label = name.replace("_", " ")
            choice = self.main.get_by_role("combobox", name=label)
            if choice.count():
                choice.select_option(value)
            else:
                self.main.get_by_label(label, exact=True).fill(value)
        self.main.get_by_role("button", name="Apply", exact=True).click()

    def clear(self) -> None:
        self.main.get_by_role("button", name="Clear", exact=True).click()

    def must_list(self, *ids: str) -> None:
        """Exactly these rows are shown, in this order."""
        expect(self.rows).to_have_count(len(ids))
        for row, identifier in zip(self.rows.all(), ids, strict=True):
            expect(row).to_contain_text(identifier)
