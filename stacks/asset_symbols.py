"""Clears the symbol tables of compiled modules: a fifth of cryptography's, for debuggers alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final, NamedTuple

_ELF_64_LITTLE_ENDIAN: Final = b"\x7fELF\x02\x01"
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SEGMENT: Final = struct.Struct("<IIQQQQQQ")
_LOADED: Final = 1
"""PT_LOAD."""
_ALLOCATED: Final = 0x2
"""SHF_ALLOC."""
_SYMBOLS: Final = frozenset({b".symtab", b".strtab"})


class _Part(NamedTuple):
    """A section, or a segment, of a file."""

    flags: int
    offset: int
    size: int
    name: int = 0

    def overlaps(self, other: _Part) -> bool:
        """Whether they share bytes of the file."""
        return self.offset < other.offset + other.size and other.offset < self.offset + self.size


def clear_symbols(module: Path) -> None:
    """Overwrite the symbol table of an ELF file with zeros, as `strip` removes it.

    Only what is not loaded into memory: the table that the loader reads (.dynsym) is another one.
    A file of another format is left as it is.
    """
    content = bytearray(module.read_bytes())
    if not content.startswith(_ELF_64_LITTLE_ENDIAN):
        return
    program_at, sections_at = struct.unpack_from("<QQ", content, 32)
    _, segments, _, sections, names_in = struct.unpack_from("<5H", content, 54)
    loaded = [
        _Part(flags=0, offset=segment[2], size=segment[5])
        for segment in _SEGMENT.iter_unpack(_table(content, program_at, segments, _SEGMENT))
        if segment[0] == _LOADED
    ]
    parts = [
        _Part(section[2], section[4], section[5], section[0])
        for section in _SECTION.iter_unpack(_table(content, sections_at, sections, _SECTION))
    ]
    names = bytes(content[parts[names_in].offset :][: parts[names_in].size])
    for part in parts:
        name = names[part.name : names.index(0, part.name)]
        if (
            name in _SYMBOLS
            and not part.flags & _ALLOCATED
            and not any(part.overlaps(segment) for segment in loaded)
        ):
            content[part.offset : part.offset + part.size] = bytes(part.size)
    module.write_bytes(content)


def _table(content: bytearray, offset: int, entries: int, entry: struct.Struct) -> bytes:
    return bytes(content[offset : offset + entries * entry.size])
