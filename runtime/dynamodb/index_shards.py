"""Index buckets: a low-cardinality index key gets numbered suffixes, to avoid a hot partition.

The number of buckets only grows. A row's bucket is computed from its id once, when it enters the
index; readers merge all buckets.

The platform's own queues have as many buckets as a constant says. Their readers read all of them,
whatever part of them a writer uses.
"""

from __future__ import annotations

from zlib import crc32

OPEN_QUEUE = "open"
"""The platform's queues of open payments and operations (`gsi-open`)."""
OPEN_BUCKETS = 256
"""Buckets of these queues.

A sale writes there twice: 256 x 1,000 units support 128,000 a second."""
LEAST_OPEN_BUCKETS_OF_MERCHANT = 16
"""Minimum number of these buckets that a merchant's payments use.

So the payments of many merchants with one index bucket each are spread as well."""
HOLD_QUEUE = "hold"
HOLD_BUCKETS = 64
"""Buckets of the platform's queue of open holds (`expiry-index`).

A hold writes there twice: 64 x 1,000 units support 32,000 a second."""
RETRY_QUEUE = "retry"
RETRY_BUCKETS = 256
"""Buckets of the platform's queue of undelivered webhooks (`gsi-retry`).

A delivery that succeeds at once writes there twice: 256 x 1,000 units support 128,000 a second.
"""
REST_QUEUE = "rest"
REST_BUCKETS = 64
"""Buckets in the same index for deliveries that wait because their endpoint is resting."""
UNCOMPACTED_QUEUE = "unfolded"
UNCOMPACTED_BUCKETS = 8
"""Buckets of the platform's queue of totals to compact (`gsi-unfolded`)."""
PLATFORM_BUCKETS = 8
"""Buckets of the platform's own accounts and transfers; a merchant has its `index_buckets`."""
KEPT_EVENT_BUCKETS = 4
"""Buckets of each list of processor events that could not be applied; these are rare."""
MERCHANT_LIST = "merchant"
MERCHANT_LIST_BUCKETS = 4
"""Buckets of the list of all merchants (`gsi-list`), written when one is registered."""
ALERT_BUCKETS = 8
"""Buckets of each list of alerts, per merchant and overall: 8 x 1,000 alerts a second.

The number is the same for all merchants, so raising an alert does not read the merchant.
"""


LEAST_UNSETTLED_BUCKETS = 4
"""Minimum number of buckets for unsettled transactions, per merchant and day.

A file of a million lines removes that many entries within minutes, even for a merchant whose sales
fit one bucket: 4 x 1,000 units a second."""


def unsettled_buckets(index_buckets: int) -> int:
    """Number of buckets of one merchant and day in `gsi-unsettled`."""
    return max(index_buckets, LEAST_UNSETTLED_BUCKETS)


def bucket_key(name: str, bucket: int) -> str:
    """The index key of one bucket: `mer_x#007`."""
    return f"{name}#{bucket:03d}"


def bucket_for(name: str, identifier: str, buckets: int) -> str:
    """The index key of the row `identifier`."""
    return bucket_key(name, crc32(identifier.encode()) % buckets)


def all_buckets(name: str, buckets: int) -> tuple[str, ...]:
    """The index keys that a reader must merge."""
    return tuple(bucket_key(name, bucket) for bucket in range(buckets))


def open_buckets_of(merchant_id: str, index_buckets: int) -> tuple[str, ...]:
    """The index keys of a merchant's open payments: some buckets of the platform's queue in a row.

    There are more of them when `index_buckets` grows, and the first ones remain. Which is first
    depends on the merchant.
    """
    buckets = max(index_buckets, LEAST_OPEN_BUCKETS_OF_MERCHANT)
    return tuple(_in_a_row(OPEN_QUEUE, OPEN_BUCKETS, merchant_id, each) for each in range(buckets))


def payment_open_bucket(merchant_id: str, payment_id: str, index_buckets: int) -> str:
    """The bucket of an open payment: one of `open_buckets_of` its merchant."""
    buckets = max(index_buckets, LEAST_OPEN_BUCKETS_OF_MERCHANT)
    number = crc32(payment_id.encode()) % buckets
    return _in_a_row(OPEN_QUEUE, OPEN_BUCKETS, merchant_id, number)


def reference_buckets(merchant_id: str, reference: str, index_buckets: int) -> tuple[str, ...]:
    """The index keys of a merchant's payments with one reference (`gsi-reference`)."""
    return all_buckets(f"{merchant_id}#{reference}", index_buckets)


def reference_bucket(merchant_id: str, reference: str, payment_id: str, index_buckets: int) -> str:
    """The index key of a payment with a reference: one of `reference_buckets`.

    Even if all of a merchant's payments have the same reference, they are spread as they are in the
    merchant's own list.
    """
    return bucket_for(f"{merchant_id}#{reference}", payment_id, index_buckets)


def operation_open_bucket(operation_id: str) -> str:
    """The bucket of an open operation. No list reads them, so all merchants use all buckets."""
    return bucket_for(OPEN_QUEUE, operation_id, OPEN_BUCKETS)


def retry_bucket(webhook_id: str) -> str:
    """The bucket of an undelivered webhook in `gsi-retry`."""
    return bucket_for(RETRY_QUEUE, webhook_id, RETRY_BUCKETS)


def rest_bucket(merchant_bucket: str) -> str:
    """The bucket of a delivery whose endpoint is resting, from its merchant's bucket.

    All resting deliveries of an ordinary merchant are in one bucket, where they delay few others; a
    merchant with several buckets, because it has many events, uses as many, evenly.
    """
    merchant_id, _, number = merchant_bucket.rpartition("#")
    return _in_a_row(
        REST_QUEUE, REST_BUCKETS, merchant_id, int(number) if number.isdecimal() else 0
    )


def undelivered_bucket(endpoint_id: str, merchant_bucket: str) -> str:
    """The bucket of a delivery among those that its endpoint has not accepted.

    An endpoint has as many as its merchant has index buckets.
    """
    number = merchant_bucket.rpartition("#")[2]
    return bucket_key(endpoint_id, int(number) if number.isdecimal() else 0)


def merchant_list_bucket(merchant_id: str) -> str:
    """The bucket of a merchant in the list of all merchants."""
    return bucket_for(MERCHANT_LIST, merchant_id, MERCHANT_LIST_BUCKETS)


def account_status_bucket(owner: str, status: str, account_id: str, buckets: int) -> str:
    """The bucket of an account in `status-index`, among the owner's accounts of that status."""
    return bucket_for(f"{owner}#{status}", account_id, buckets)


def _in_a_row(queue: str, buckets: int, owner: str, number: int) -> str:
    """The owner's bucket `number` among the `buckets` of a queue.

    An owner's buckets are neighbors: as many different ones as there are numbers. If each were
    hashed on its own, several would coincide, and be hot.
    """
    return bucket_key(queue, (crc32(owner.encode()) + number) % buckets)
