"""Regenerate the corpus: `python -m tests.corpus`. The output is deterministic."""

from __future__ import annotations

from pathlib import Path

from tests.corpus.own_cases import all_cases
from tests.corpus.truth import as_text, published

FOLDER = Path(__file__).parent / "settlements"
README = "README.md"


def files() -> dict[str, bytes]:
    """Contents of the folder by name, without its README."""
    found: dict[str, bytes] = {}
    for case in all_cases():
        for name, content, truth in published(case):
            assert name not in found, name
            found[name] = content
            found[f"{name.rpartition('.')[0]}.truth.json"] = as_text(truth).encode()
    return found


def write() -> None:
    """Replace what is in the folder."""
    wanted = files()
    for path in FOLDER.iterdir():
        if path.name != README and path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    write()
