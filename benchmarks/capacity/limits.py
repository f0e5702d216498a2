"""The limits of AWS that the load is compared with, and assumed times; each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from runtime.settings import ProcessSettings
from simulation.platform.settings import DELIVERIES
from simulation.platform.sources import BATCH_SIZES

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


@dataclass(frozen=True, slots=True)
class StageSettings:
    """What a stage sets for its rate.

    By table: batches of a shard at once, how long a batch waits to fill, and warm units.
    """

    requests_per_second: int
    deliveries_at_once: int
    parallel_batches: Mapping[str, int] = field(default_factory=dict)
    window_seconds: Mapping[str, int] = field(default_factory=dict)
    warm_write_units: Mapping[str, int] = field(default_factory=dict)

    def parallel(self, table: str) -> int:
        """Batches of one shard of the table's stream at once."""
        return self.parallel_batches.get(table, PARALLEL_BATCHES)


AS_PROD: Final = StageSettings(requests_per_second=10_000, deliveries_at_once=100)
"""As `prod` in cdk.json.

These are settings of the stacks, which load the CDK when they are imported; a test compares
them."""
FOR_20_000: Final = StageSettings(
    requests_per_second=100_000,
    deliveries_at_once=800,
    warm_write_units={
        "accounts": 20_000,
        "audit_log": 120_000,
        "customers": 20_000,
        "entries": 140_000,
        "idempotency": 110_000,
        "limits": 10_000,
        "payments": 100_000,
        "totals": 50_000,
        "transactions": 60_000,
        "transfers": 50_000,
        "webhooks": 90_000,
    },
)
"""For 20,000 payments per second: docs/performance.md has the same, and a test compares them."""
HTTP_MEMORY_MB: Final = 1024
PROJECT_MEMORY_MB: Final = 1024
DELIVERY_BATCH: Final = BATCH_SIZES[DELIVERIES]
"""Webhooks of a batch."""
MERCHANT_CACHE_SECONDS: Final[int] = ProcessSettings.model_fields["merchant_cache_seconds"].default
"""How long an environment keeps a merchant's row."""

# -------------------------------------------------------------------- times

POLL_SECONDS: Final = 0.25
"""How long records wait for Lambda at a stream: it polls each shard four times a second. Lambda
Developer Guide, "Using Lambda with Amazon DynamoDB", "Polling and batching streams"."""
CALL_SECONDS: Final = 0.005
"""Wait for one call of DynamoDB from Lambda. Assumed: single-digit milliseconds, as AWS says."""
CALL_CPU_SECONDS: Final = 0.0006
"""CPU time of one projector call of DynamoDB with its share of the work, on a whole processor:
`make bench ARGS=price` prints 2.9 ms for 5.2 calls per derived sale."""
REQUEST_CPU_SECONDS: Final = 0.0012
"""CPU time of a sale in `process`, on a whole processor; other requests take less. `make bench
ARGS=cpu` prints 0.9 ms without sending and receiving, which takes 0.14 ms a call."""
QUERY_CPU_SECONDS: Final = 0.0003
"""CPU time of one call of DynamoDB that reads, on a whole processor: half of a payment with its
transactions, 0.3 ms, and sending and receiving."""
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
