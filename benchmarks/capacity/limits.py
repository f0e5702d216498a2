"""The limits of AWS that the load is compared with, and assumed times; each with its source."""

from __future__ import annotations

from typing import Final

from runtime.settings import ProcessSettings
from simulation.platform.settings import DELIVERIES
from simulation.platform.sources import BATCH_SIZES, CONCURRENCY

# -------------------------------------------------------------------- DynamoDB

PARTITION_WRITE_UNITS: Final = 1_000
PARTITION_READ_UNITS: Final = 3_000
"""Per second. DynamoDB Developer Guide, "Best practices for designing and using partition keys": a
partition delivers as much, and one partition key is in one partition. DynamoDB may split the items
of one key by their sort keys, but not if new ones always have the highest ("Scaling DynamoDB", AWS
Database Blog, part 3), and it promises neither: the model does not count on it."""
LEAST_PARTITIONS: Final = 4
"""Partitions of a new table on demand, which takes 4,000 write units a second at once. Developer
Guide, "On-demand capacity mode: initial throughput"."""
TABLE_UNITS: Final = 40_000
"""Per second, write and read units of a table or of one index on demand. Adjustable. Developer
Guide, "Quotas in Amazon DynamoDB"."""
LOCK_SECONDS: Final = 0.005
"""How long a transaction locks its items. Assumed: AWS publishes no figure. The runtime's round
trips of transactions are of this order."""
CONFLICTS_TOLERATED: Final = 0.10
"""Share of attempts that may conflict. Above that, retries dominate the latency."""

# -------------------------------------------------------------------- Lambda, streams, queues

LAMBDA_CONCURRENCY: Final = 1_000
"""Executions at once, per account and region. Adjustable. Lambda Developer Guide, "Quotas"."""
API_REQUESTS: Final = 10_000
"""Requests per second of an account and region. Adjustable. API Gateway, "Quotas"."""
KMS_REQUESTS: Final = 10_000
"""Symmetric operations per second: the lowest default of any region; up to 100,000 in others.
Adjustable. KMS Developer Guide, "Request quotas"."""
FULL_PROCESSOR_MB: Final = 1_769
"""Memory with which a function has one whole processor. Lambda Developer Guide, "Memory"."""

# -------------------------------------------------------------------- the stacks' settings

PARALLEL_BATCHES: Final = 2
"""Batches of one shard at once; Lambda's most is 10.

These are settings of the stacks, which load the CDK when they are imported; a test compares
them."""
HTTP_MEMORY_MB: Final = 1024
PROJECT_MEMORY_MB: Final = 1024
STAGE_REQUESTS: Final = 10_000
"""Requests per second that the stage `prod` accepts."""
DELIVERIES_AT_ONCE: Final = CONCURRENCY[DELIVERIES]
DELIVERY_BATCH: Final = BATCH_SIZES[DELIVERIES]
"""Batches of webhooks at once, the default of a stage, and webhooks of a batch."""
MERCHANT_CACHE_SECONDS: Final[int] = ProcessSettings.model_fields["merchant_cache_seconds"].default
"""How long an environment keeps a merchant's row."""

# -------------------------------------------------------------------- times

CALL_SECONDS: Final = 0.005
"""Wait for one call of DynamoDB from Lambda. Assumed: single-digit milliseconds, as AWS says."""
CALL_CPU_SECONDS: Final = 0.0015
"""CPU time of one projector call of DynamoDB with its share of the work, on a whole processor:
measured 15 ms for 9.8 calls per derived sale."""
REQUEST_CPU_SECONDS: Final = 0.0035
"""CPU time of a sale in `process`, on a whole processor; other requests take less."""
QUERY_CPU_SECONDS: Final = 0.001
"""CPU time of one call of DynamoDB that reads, on a whole processor: measured 956 microseconds."""
PROCESSOR_SECONDS: Final = 0.3
"""A card processor's answer. Assumed; slower ones need more concurrency, and nothing else."""
ENDPOINT_SECONDS: Final = 0.2
"""A merchant's endpoint. Assumed."""


def conflicts(transactions_per_second: float, lock_seconds: float = LOCK_SECONDS) -> float:
    """Share of attempts that meet a locked item which so many transactions a second commit to.

    The item is locked for that share of the time, and attempts come at any time. From 1 on the
    transactions cannot all commit.
    """
    return transactions_per_second * lock_seconds
