"""The release before today's, which the end-to-end tests deploy."""

from __future__ import annotations

from local.workspace import PROJECT_ROOT
from tests.support.stages.releases import EARLIER, HTTP_FUNCTION, RELEASE_HEADER, earlier


def test_the_earlier_release_differs_from_todays_code_by_its_header_alone() -> None:
    """It is made by a change of the source; when that no longer fits, this fails in a second."""
    today = (PROJECT_ROOT / HTTP_FUNCTION).read_text()
    release = earlier(today)
    assert release != today
    assert release.replace(f'"{RELEASE_HEADER}": "{EARLIER}", ', "") == today
