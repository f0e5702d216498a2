"""Index buckets: an index key of few values is spread over suffixes, so that no partition is hot.

The number of buckets only grows. A row's bucket is computed from its id once, when it enters the
index; readers merge all buckets there are.
"""

from __future__ import annotations

from zlib import crc32

OPEN_QUEUE = "open"
"""The platform's queues of open payments and operations (`gsi-open`), in as many buckets as the
stage says (`open_buckets` in runtime/settings/payments.py)."""
HOLD_QUEUE = "hold"
HOLD_BUCKETS = 8
"""Buckets of the platform's queue of open holds (`expiry-index`)."""
RETRY_QUEUE = "retry"
RETRY_BUCKETS = 64
"""Buckets of the platform's queue of undelivered webhooks (`gsi-retry`).

A delivery that arrives at once writes there four times: 64 x 1,000 units are 16,000 a second.
"""
REST_QUEUE = "rest"
REST_BUCKETS = 64
"""Buckets beside them, of those that wait because their endpoint rests."""
UNCOMPACTED_QUEUE = "unfolded"
UNCOMPACTED_BUCKETS = 8
"""Buckets of the platform's queue of totals that are not folded (`gsi-unfolded`)."""
PLATFORM_BUCKETS = 8
"""Buckets of the platform's own accounts and transfers, as a merchant has `index_buckets`."""
KEPT_EVENT_BUCKETS = 4
"""Buckets of each list of processor events that could not be applied: they are few."""
MERCHANT_LIST = "merchant"
MERCHANT_LIST_BUCKETS = 4
"""Buckets of the list of all merchants (`gsi-list`), which is written when one is registered."""
ALERT_BUCKETS = 8
"""Buckets of each list of alerts, a merchant's as well as everybody's: 8 x 1,000 alerts a second.

One number for all, so that whoever raises an alert has no merchant to read first.
"""


LEAST_UNSETTLED_BUCKETS = 4
"""Buckets of what waits for settlement files, for each merchant and day, at the least.

A file of a million lines takes as many entries out within minutes, also for a merchant whose sales
fit one bucket: 4 x 1,000 units a second."""


def unsettled_buckets(index_buckets: int) -> int:
    """Into how many buckets a merchant's day is spread in `gsi-unsettled`."""
    return max(index_buckets, LEAST_UNSETTLED_BUCKETS)


def bucket_key(name: str, bucket: int) -> str:
    """The index key of one bucket: `mer_x#007`."""
    return f"{name}#{bucket:03d}"


def bucket_for(name: str, identifier: str, buckets: int) -> str:
    """The index key under which the row `identifier` stands."""
    return bucket_key(name, crc32(identifier.encode()) % buckets)


def all_buckets(name: str, buckets: int) -> tuple[str, ...]:
    """The index keys that a reader must merge."""
    return tuple(bucket_key(name, bucket) for bucket in range(buckets))


def retry_bucket(webhook_id: str) -> str:
    """Where an undelivered webhook stands in `gsi-retry`."""
    return bucket_for(RETRY_QUEUE, webhook_id, RETRY_BUCKETS)


def rest_bucket(merchant_bucket: str) -> str:
    """Where one stands whose endpoint rests, by its bucket among its merchant's.

    So an ordinary merchant's all stand in one, where they are in the way of few others; those of a
    merchant that has several buckets, because it has many events, in as many.
    """
    return bucket_for(REST_QUEUE, merchant_bucket, REST_BUCKETS)


def merchant_list_bucket(merchant_id: str) -> str:
    """The key of a merchant in the list of all merchants."""
    return bucket_for(MERCHANT_LIST, merchant_id, MERCHANT_LIST_BUCKETS)


def account_status_bucket(owner: str, status: str, account_id: str, buckets: int) -> str:
    """The key of an account in `status-index`, among the owner's accounts of that status."""
    return bucket_for(f"{owner}#{status}", account_id, buckets)
