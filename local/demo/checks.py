"""The demo believes nothing that it has not seen."""

from __future__ import annotations

from local.errors import LocalError


class StoryBroken(LocalError):
    """A step of the demo did not end as described."""


def hold(condition: bool, message: str) -> None:
    """Raises StoryBroken unless `condition`."""
    if not condition:
        raise StoryBroken(
            f"The demo's story broke: {message}.",
            hint='The functions say more: make logs ARGS="process", or "query".',
        )
