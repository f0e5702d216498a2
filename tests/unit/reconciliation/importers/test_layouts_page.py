"""docs/settlement-layouts.md lists what the code reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.reconciliation.importers import adyen, paypal, stripe
from runtime.reconciliation.importers.dates import ZONES
from runtime.reconciliation.importers.detect import LAYOUTS
from runtime.reconciliation.importers.layout import Layout

PAGE = (Path(__file__).parents[4] / "docs" / "settlement-layouts.md").read_text()
WORDS = " ".join(PAGE.split())
TABLES = {"Stripe": stripe.TYPES, "Adyen": adyen.TYPES, "PayPal": paypal.TYPES}


@pytest.mark.parametrize("title", TABLES)
def test_every_category_is_in_the_row_of_its_type(title: str) -> None:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = {
        cells[1].strip(): {name.strip(" `").lower() for name in cells[2].split(",")}
        for cells in (line.split("|") for line in section.splitlines())
        if len(cells) == 4
    }
    for category, kind in TABLES[title].items():
        assert category.lower() in rows[kind.value], category
    named = {
        name for kind, names in rows.items() if "_" in kind or kind in LINE_TYPES for name in names
    }
    assert named == {category.lower() for category in TABLES[title]}


LINE_TYPES = {kind.value for table in TABLES.values() for kind in table.values()}


@pytest.mark.parametrize("layout", LAYOUTS[:3])
def test_every_required_column_is_listed(layout: type[Layout]) -> None:
    missing = [
        name for name in layout.needed if f"{name}`" not in WORDS and f"{name}," not in WORDS
    ]
    assert missing == []


def test_every_time_zone_is_listed() -> None:
    assert [zone for zone in ZONES if zone not in WORDS] == []
