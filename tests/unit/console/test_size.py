"""The console stays small."""

from __future__ import annotations

import gzip
from typing import Final

from local.workspace import PROJECT_ROOT

CONSOLE: Final = PROJECT_ROOT / "console"
FILES: Final = sorted(path for path in CONSOLE.rglob("*") if path.is_file())
MOST_COMPRESSED_BYTES: Final = 80_000
"""Of all files together, each compressed by itself, as they are sent."""


def test_all_files_together_are_small_when_compressed() -> None:
    sizes = {path: len(gzip.compress(path.read_bytes(), 9, mtime=0)) for path in FILES}
    total = sum(sizes.values())
    largest = sorted(sizes, key=lambda path: -sizes[path])[:5]
    assert total < MOST_COMPRESSED_BYTES, "\n".join(f"{sizes[p]:>7} {p}" for p in largest)
