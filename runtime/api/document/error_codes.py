"""The codes of the errors that callers see."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.core import errors
from runtime.core.errors import PlatformError


def catalogue() -> dict[str, type[PlatformError]]:
    """The class of each code, sorted by status and code.

    A code that several classes share, such as a base's, is that of the first.
    """
    found: dict[str, type[PlatformError]] = {}
    for each in _below(PlatformError):
        if each.__module__.startswith(f"{errors.__name__}."):
            found.setdefault(each.code, each)
    return dict(sorted(found.items(), key=lambda item: (item[1].status, item[0])))


def _below(parent: type[PlatformError]) -> Iterator[type[PlatformError]]:
    yield parent
    for each in parent.__subclasses__():
        yield from _below(each)
