"""The generated pages say what the code says now."""

from __future__ import annotations

import pytest

from local.docs import DOCS, PAGES
from runtime.api.endpoints import ENDPOINTS
from runtime.tables import ALL_TABLES


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (DOCS / name).read_text("utf-8")
    assert written == PAGES[name](), f"docs/{name} is stale: run make docs"


def test_the_data_model_page_names_every_table_index_and_expiry() -> None:
    page = PAGES["data-model.md"]()
    for schema in ALL_TABLES:
        section = page.partition(f"\n## {schema.name}\n")[2].partition("\n## ")[0]
        assert all(f"| `{index.name}` |" in section for index in schema.indexes)
        assert all(f"| `{name}` |" in section for name in schema.model.model_fields)
        if schema.ttl_attribute is not None:
            assert "expiry, epoch seconds" in section


def test_the_api_page_names_every_route() -> None:
    page = PAGES["api.md"]()
    assert all(f"`{endpoint.method} {endpoint.path}`" in page for endpoint in ENDPOINTS)
