"""How large an item is, and what is too large (DynamoDB Developer Guide, "Constraints")."""

from __future__ import annotations

from typing import Final

from runtime.dynamodb.capacity import item_size
from simulation.dynamodb.values import Item

MAX_ITEM_BYTES: Final = 400 * 1024
MAX_TRANSACTION_BYTES: Final = 4 * 1024 * 1024
MAX_PARTITION_KEY_BYTES: Final = 2048
MAX_SORT_KEY_BYTES: Final = 1024
PAGE_BYTES: Final = 1024 * 1024
"""A Query or Scan ends its page with the item that reaches it."""
BATCH_BYTES: Final = 16 * 1024 * 1024
"""A BatchGetItem leaves keys unprocessed beyond it."""


def size_of(item: Item) -> int:
    """Bytes of an item."""
    return item_size(item)
