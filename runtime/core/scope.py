"""Tenant isolation: whose rows a reader may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of one owner (a merchant's id, or `platform`); None: all rows.

    Every repository read takes a scope. A row outside it does not exist for the reader, and none of
    its fields are decrypted.
    """

    owner: str | None

    def admits(self, owner: str | None) -> bool:
        """Whether a row of `owner` is visible; a row without an owner only to unscoped readers."""
        return self.owner is None or (owner is not None and owner == self.owner)


UNRESTRICTED: Final = Scope(None)
"""All rows: for operators and workers."""
