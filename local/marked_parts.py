"""Generated parts of pages that people write: between two comments, so that the rest stays."""

from __future__ import annotations

BEGINNING = "<!-- make docs: {} -->\n"
END = "<!-- end of {} -->"


def with_part(page: str, name: str, text: str) -> str:
    """`page` with `text` between the two comments of the part called `name`.

    Raises:
        ValueError: the page has no such comments, or has them more than once.
    """
    beginning, end = BEGINNING.format(name), END.format(name)
    before, found, rest = page.partition(beginning)
    _, found_end, after = rest.partition(end)
    if not found or not found_end or beginning in after:
        raise ValueError(
            f"the page needs the comments {beginning.strip()} and {end} once, in order"
        )
    return f"{before}{beginning}{text}{end}{after}"
