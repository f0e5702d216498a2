"""Whose rows a reader may see: the one place where tenants are kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows of one owner (a merchant's id, or `platform`); None: everybody's.

    Every read of a repository takes one. A row outside of it does not exist for the reader, and
    nothing of it is deciphered.
    """

    owner: str | None

    def admits(self, owner: str | None) -> bool:
        """Whether a row of `owner` may be seen; a row without an owner is nobody's."""
        return self.owner is None or (owner is not None and owner == self.owner)


EVERYBODY: Final = Scope(None)
"""For operators, and for workers, which act for nobody in particular."""
