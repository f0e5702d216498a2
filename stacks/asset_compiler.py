"""Replaces each source of a directory with its bytecode, which Python imports like the source.

Run by the interpreter that will import it, as a script: it needs the standard library alone.

    python -X no_debug_ranges asset_compiler.py DIRECTORY PREFIX [--keep-docstrings NAME]

`PREFIX` is the directory's path where the code will run, for tracebacks. Bytecode of the package
`NAME` keeps its docstrings. Python never compares it with a source (PEP 552, unchecked hash): it
would be stale in Lambda, which unpacks files with a fixed date.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import marshal
import sys
from pathlib import Path

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def main() -> int:
    """Exit code 1, and the first error, if a source is not valid in this version of Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("prefix")
    parser.add_argument("--keep-docstrings", metavar="NAME")
    options = parser.parse_args()
    root: Path = options.directory
    for source in sorted(root.rglob("*.py")):
        name = source.relative_to(root)
        keep = name.parts[0] == options.keep_docstrings
        try:
            bytecode = compiled(source.read_bytes(), f"{options.prefix}/{name}", documented=keep)
        except (SyntaxError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - a script
            return 1
        source.with_suffix(".pyc").write_bytes(bytecode)
        source.unlink()
    return 0


def compiled(source: bytes, path: str, *, documented: bool) -> bytes:
    """The content of a .pyc file. Asserts stay, unlike with Python's -OO."""
    tree = ast.parse(source, path)
    if not documented:
        _drop_docstrings(tree)
    code = marshal.dumps(compile(tree, path, "exec", dont_inherit=True))
    digest = importlib.util.source_hash(source)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + digest + code


def _drop_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body.pop(0)
            if not node.body:
                node.body.append(ast.copy_location(ast.Pass(), docstring))


if __name__ == "__main__":
    sys.exit(main())
