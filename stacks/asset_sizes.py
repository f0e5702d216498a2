"""Sizes of a built asset, by package: what Lambda unpacks, and what is uploaded."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

PACKAGES_SHOWN: Final = 10
OWN: Final = "runtime"
_BYTES_PER_MB: Final = 1_000_000
_COMPRESSION: Final = 9
"""As the CDK CLI compresses the asset."""


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of files, and of the same files in the zip."""

    unzipped: int
    zipped: int


def sizes_of(asset: Path) -> dict[str, Size]:
    """The size of each package, and of single files at the top, by name; largest zip first."""
    unzipped: Counter[str] = Counter()
    zipped: Counter[str] = Counter()
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as z:
        for file in sorted(path for path in asset.rglob("*") if path.is_file()):
            name = file.relative_to(asset)
            before = z.fp.tell()  # type: ignore[union-attr] # open until the end of the block
            z.write(file, name)
            unzipped[name.parts[0]] += file.stat().st_size
            zipped[name.parts[0]] += z.fp.tell() - before  # type: ignore[union-attr]
    return {name: Size(unzipped[name], packed) for name, packed in zipped.most_common()}


def table_of(sizes: dict[str, Size], title: str) -> Table:
    """The largest packages, all dependencies, our code, total; in megabytes."""
    table = Table("part", "zipped, MB", "unzipped, MB", title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    packages = {name: size for name, size in sizes.items() if name != OWN}
    for name, size in list(packages.items())[:PACKAGES_SHOWN]:
        table.add_row(f"  {name}", *_megabytes(size))
    table.add_section()
    dependencies, own = total_of(packages), sizes.get(OWN, Size(0, 0))
    table.add_row("dependencies", *_megabytes(dependencies))
    table.add_row(OWN, *_megabytes(own))
    table.add_row("total", *_megabytes(total_of(sizes)))
    return table


def total_of(sizes: dict[str, Size]) -> Size:
    """The sum."""
    values = sizes.values()
    return Size(sum(each.unzipped for each in values), sum(each.zipped for each in values))


def _megabytes(size: Size) -> tuple[str, str]:
    return f"{size.zipped / _BYTES_PER_MB:.2f}", f"{size.unzipped / _BYTES_PER_MB:.2f}"
