"""The table of docs/security.md: what each function may do, and what needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from permissions.judgement import Judgement, Right, place_of

BEGIN: Final = "<!-- permissions: made by `make permissions` -->"
END: Final = "<!-- permissions: end -->"


def table(judgement: Judgement) -> str:
    """The table of one stage, without the marks around it."""
    lines = [
        "| function | action | on | needed by |",
        "|---|---|---|---|",
    ]
    for (function, action), rights in sorted(_grouped(judgement).items()):
        places = "<br>".join(sorted({f"`{place_of(right)}`" for right in rights}))
        uses = sorted({use for right in rights for use in judgement.uses_of(right)})
        lines.append(f"| {function} | `{action}` | {places} | {', '.join(uses)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str, judgement: Judgement) -> str:
    """A page with its table made anew. Raises ValueError if it lacks the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(judgement)}{END}{after}"


def _grouped(judgement: Judgement) -> Mapping[tuple[str, str], list[Right]]:
    grouped: dict[tuple[str, str], list[Right]] = defaultdict(list)
    for right in judgement.rights:
        grouped[right.function, right.action].append(right)
    return grouped
