"""How large an item is, and what is too large (DynamoDB Developer Guide, "Constraints")."""

from __future__ import annotations

from typing import Final

from runtime.dynamodb.capacity import item_size, value_size
from simulation.dynamodb.values import Item

MAX_ITEM_BYTES: Final = 400 * 1024
MAX_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
MAX_PARTITION_KEY_BYTES: Final = 2048
MAX_SORT_KEY_BYTES: Final = 1024
PAGE_BYTES: Final = 1024 * 1024
"""A Query or Scan ends its page with the item that reaches it."""
BATCH_BYTES: Final = 16 * 1024 * 1024
"""A BatchGetItem leaves keys unprocessed beyond it."""
_MOST_PER_CHARACTER: Final = 4
"""Bytes in UTF-8; a digit of a number takes less than one, which leaves room for its sign."""


def size_of(item: Item) -> int:
    """Bytes of an item."""
    return item_size(item)


def exceeds(item: Item, most: int) -> bool:
    """Whether an item has more than `most` bytes."""
    return at_most_bytes(item) > most and item_size(item) > most


def at_most_bytes(item: Item) -> int:
    """A bound that an item's size keeps below, found at a glance."""
    bound = sum(map(len, item)) * _MOST_PER_CHARACTER
    for value in item.values():
        for content in value.values():  # there is one
            if type(content) is str or type(content) is bytes:
                bound += len(content) * _MOST_PER_CHARACTER
            else:
                bound += value_size(value)
    return bound
