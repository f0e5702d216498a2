"""How large an item is, and what is too large (DynamoDB Developer Guide, "Constraints")."""

from __future__ import annotations

from typing import Final

from runtime.domain.capacity import item_size, value_size
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


def size_of(item: Item) -> int:
    """Bytes of an item."""
    return item_size(item)


def exceeds(item: Item, most: int) -> bool:
    """Whether an item has more than `most` bytes: most items are seen at a glance to have not."""
    bound = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        if kind in ("S", "N", "B"):
            bound += _MOST_PER_CHARACTER * (len(name) + len(content)) + 2
        else:
            bound += _MOST_PER_CHARACTER * len(name) + value_size(value)
    return bound > most and item_size(item) > most
