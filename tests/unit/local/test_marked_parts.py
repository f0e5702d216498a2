"""A generated part replaces what stands between its comments, and nothing else."""

from __future__ import annotations

import pytest

from local.marked_parts import with_part

PAGE = "# Page\n<!-- make docs: list -->\nold\n<!-- end of list -->\nrest\n"


def test_a_part_is_replaced_and_the_rest_stays() -> None:
    page = with_part(PAGE, "list", "new\n")
    assert page == "# Page\n<!-- make docs: list -->\nnew\n<!-- end of list -->\nrest\n"
    assert with_part(page, "list", "new\n") == page


@pytest.mark.parametrize(
    "page",
    [
        "# Page\n",
        "<!-- make docs: list -->\n",
        "<!-- end of list -->\n<!-- make docs: list -->\n",
        PAGE + PAGE,
    ],
)
def test_a_page_without_both_comments_once_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs the comments <!-- make docs: list -->"):
        with_part(page, "list", "new\n")
