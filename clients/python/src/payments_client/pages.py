"""Lists as iterators over all their pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from payments_client.answers import answer

Q = ParamSpec("Q")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """What every list of the API answers."""

    @property
    def data(self) -> Sequence[T_co]:
        """The objects, newest first."""

    @property
    def next_cursor(self) -> Any:
        """Where the next page begins; None on the last one."""


def items(
    operation: Callable[Q, Page[T] | None], /, *args: Q.args, **kwargs: Q.kwargs
) -> Iterator[T]:
    """All objects of a list, page after page, as they are read: `items(list_payments.sync, …)`.

    The arguments are those of the operation. A page is fetched when the one before is used up.
    """
    fetch, cursor = cast("Callable[..., Page[T] | None]", operation), kwargs.get("cursor")
    while True:
        page = answer(fetch(*args, **{**kwargs, **({"cursor": cursor} if cursor else {})}))
        yield from page.data
        cursor = page.next_cursor
        if not cursor:
            return


async def items_async(
    operation: Callable[Q, Awaitable[Page[T] | None]], /, *args: Q.args, **kwargs: Q.kwargs
) -> AsyncIterator[T]:
    """What `items` does, for operations that are awaited, such as `list_payments.asyncio`."""
    fetch = cast("Callable[..., Awaitable[Page[T] | None]]", operation)
    cursor = kwargs.get("cursor")
    while True:
        page = answer(await fetch(*args, **{**kwargs, **({"cursor": cursor} if cursor else {})}))
        for item in page.data:
            yield item
        cursor = page.next_cursor
        if not cursor:
            return
