"""Code quoted in a page, copied from its source, so that the page cannot show older code.

A page marks the place with `<!-- code from runtime/x.py: first_name second_name -->`, followed by a
fenced block.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

from local.workspace import PROJECT_ROOT

_MARKED: Final = re.compile(
    r"(?P<mark><!-- code from (?P<file>\S+\.py): (?P<names>[\w ]+) -->\n)"
    r"```python\n(?P<code>.*?)```\n",
    re.DOTALL,
)


def with_current_code(page: str, root: Path = PROJECT_ROOT) -> str:
    """`page` with every marked block replaced by the current named functions and classes.

    Raises KeyError for a name that the file does not define at its top level.
    """
    return _MARKED.sub(lambda found: _block(found, root), page)


def _block(found: re.Match[str], root: Path) -> str:
    source = (root / found["file"]).read_text("utf-8")
    code = "\n\n\n".join(_definition(source, name) for name in found["names"].split())
    return f"{found['mark']}```python\n# {found['file']}\n{code}\n```\n"


def _definition(source: str, name: str) -> str:
    defined = {
        node.name: node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    node = defined[name]
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
