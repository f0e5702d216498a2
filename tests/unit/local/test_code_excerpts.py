"""Pages quote the current code."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.code_excerpts import with_current_code
from local.workspace import PROJECT_ROOT

PAGE = """Before.
<!-- code from shop.py: pay Basket -->
```python
outdated
```
After.
"""


def test_a_marked_block_gets_the_named_definitions_in_order(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "X = 1\n\n\n@final\nclass Basket:\n    size = 3\n\n\ndef pay() -> int:\n    return X\n"
    )
    assert with_current_code(PAGE, tmp_path) == (
        "Before.\n<!-- code from shop.py: pay Basket -->\n```python\n# shop.py\n"
        "def pay() -> int:\n    return X\n\n\n@final\nclass Basket:\n    size = 3\n```\nAfter.\n"
    )


def test_a_name_that_the_file_does_not_define_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def pay() -> None: ...\n")
    with pytest.raises(KeyError, match="Basket"):
        with_current_code(PAGE, tmp_path)


def test_the_readme_quotes_the_current_ledger() -> None:
    readme = (PROJECT_ROOT / "README.md").read_text("utf-8")
    assert "<!-- code from runtime/ledger/" in readme
    assert readme == with_current_code(readme), "README.md is stale: run make docs"
