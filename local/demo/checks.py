"""The demo checks every step."""

from __future__ import annotations

from local.errors import LocalError


class StoryBroken(LocalError):
    """A step of the demo did not have the expected result."""


def hold(condition: bool, message: str) -> None:
    """Raises StoryBroken unless `condition`."""
    if not condition:
        raise StoryBroken(
            f"The demo failed: {message}.",
            hint='See the logs: make logs ARGS="process", or "query".',
        )
