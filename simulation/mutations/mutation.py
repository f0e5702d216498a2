"""A planted fault: text of the product replaced by other text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class DoesNotMatch(LookupError):
    """The text to be replaced is not in the file exactly once: the table is out of date."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one file. `path` is relative to the root of the project."""

    path: str
    before: str
    after: str

    def applied(self, text: str) -> str:
        """The file's text with the replacement. Raises DoesNotMatch."""
        found = text.count(self.before)
        if found != 1:
            raise DoesNotMatch(f"{self.path} has this {found} times, not once:\n{self.before}")
        return text.replace(self.before, self.after)


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault, and why it would matter to a user.

    `defect`: the product once had it, and the mutation takes its fix back. `equivalent`: why
    nothing can find it; None for a fault that something must find. `unseen`: why the simulation
    cannot find it, although tests do.
    """

    name: str
    what: str
    why: str
    edits: tuple[Edit, ...]
    defect: bool = False
    equivalent: str | None = None
    unseen: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that it changes."""
        return tuple(dict.fromkeys(edit.path for edit in self.edits))

    def texts(self, root: Path) -> dict[str, str]:
        """The changed files' new text, by path. Raises DoesNotMatch."""
        texts = {path: (root / path).read_text("utf-8") for path in self.paths}
        for edit in self.edits:
            texts[edit.path] = edit.applied(texts[edit.path])
        return texts


def fault(  # noqa: PLR0913 - the columns of the table
    name: str, what: str, path: str, before: str, after: str, *, why: str, unseen: str | None = None
) -> Mutation:
    """A fault of one replacement. `path` is relative to `runtime/`."""
    edit = Edit(f"runtime/{path}", before, after)
    return Mutation(name, what, why, (edit,), unseen=unseen)


def fault_of(
    name: str, what: str, *edits: tuple[str, str, str], why: str, unseen: str | None = None
) -> Mutation:
    """A fault of several replacements, which only together change what the product does.

    Each is a path relative to `runtime/`, the text before and the text after.
    """
    return Mutation(name, what, why, _edits(edits), unseen=unseen)


def defect(
    name: str, what: str, *edits: tuple[str, str, str], why: str, unseen: str | None = None
) -> Mutation:
    """A defect that the product once had, as the replacements that take its fix back."""
    return Mutation(name, what, why, _edits(edits), defect=True, unseen=unseen)


def _edits(edits: Sequence[tuple[str, str, str]]) -> tuple[Edit, ...]:
    return tuple(Edit(f"runtime/{path}", before, after) for path, before, after in edits)
