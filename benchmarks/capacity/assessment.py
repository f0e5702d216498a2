"""What the load comes to: each key, item, stream and quota beside its limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Final

from benchmarks.capacity import limits
from benchmarks.capacity.footprint import Footprint, Touch
from benchmarks.capacity.keys import Key, Place
from benchmarks.capacity.load import Load, Population, Usage
from benchmarks.capacity.projector import (
    CALLS_PER_SHARD_UPDATE,
    Stream,
    add_shards,
    add_totals,
    calls_per_second,
    credits_of,
    stream_of,
)
from runtime.dynamodb.index_merge import MAX_PARALLEL_BUCKETS
from runtime.encryption.key_ring import MAX_CACHE_SECONDS

HTTP_PROCESSOR_SHARE: Final = limits.HTTP_MEMORY_MB / limits.FULL_PROCESSOR_MB
EVENTUALLY_CONSISTENT: Final = 0.5
"""Read units of a row below 4 KB: merchants, and the health of endpoints, are read so."""
STREAMS: Final = ("payments", "transactions", "transfers", "accounts")


class Kind(StrEnum):
    """What a limit is of. Only the first three are properties of the layout."""

    KEY = "partition key"
    ITEM = "item"
    SHARD = "shard of a stream"
    STREAM = "stream, as it is set"
    SETTING = "setting"
    QUOTA = "quota"


LAYOUT: Final = (Kind.KEY, Kind.ITEM, Kind.SHARD)


@dataclass(frozen=True, slots=True)
class Finding:
    """A use beside its limit, both per second or at once.

    `holds_for`: the part of the load up to which it holds, where that is not in proportion.
    """

    kind: Kind
    name: str
    used: float
    limit: float
    unit: str
    holds_for: float | None = None

    @property
    def utilisation(self) -> float:
        """Of the limit; above 1 it does not hold."""
        return self.used / self.limit

    def breaks_at(self, rate: float) -> float:
        """The rate at which the limit is reached."""
        return rate * (1 / self.utilisation if self.holds_for is None else self.holds_for)


@dataclass
class Assessment:
    """The load at `rate` payments per second on a stage, with everything that is derived."""

    stage: limits.StageSettings
    rate: float
    load: Load
    streams: dict[str, Stream] = field(default_factory=dict)
    concurrency: dict[str, float] = field(default_factory=dict)
    requests: float = 0.0
    webhooks: float = 0.0
    shard_updates: float = 0.0
    findings: list[Finding] = field(default_factory=list)


def assess(
    stage: limits.StageSettings,
    load: Load,
    footprints: Mapping[str, Footprint],
    rates: Mapping[str, float],
    population: Population,
    rate: float,
) -> Assessment:
    """Complete the load by what batches share, and compare it with all limits."""
    made = Assessment(stage, rate, load)
    _derive(made, footprints, rates, population)
    _run_functions(made, footprints, rates, population)
    usage = made.load.total
    made.findings = sorted(
        [
            *findings_of_keys(usage),
            *findings_of_items(usage),
            *_findings_of_streams(made),
            *_findings_of_quotas(made, usage),
        ],
        key=lambda each: each.breaks_at(rate),
    )
    return made


# -------------------------------------------------------------------- what is derived


def _derive(
    made: Assessment,
    footprints: Mapping[str, Footprint],
    rates: Mapping[str, float],
    population: Population,
) -> None:
    calls = calls_per_second(footprints, rates)
    credits_ = credits_of(footprints, rates, population)
    derived = made.load.derived

    def stream(table: str) -> Stream:
        units = made.load.requests.written[Place(table)] + derived.written[Place(table)]
        groups = credits_.groups if table == "transfers" else lambda _: 0.0
        records = derived.records[table]
        return stream_of(table, records, calls[table], units, groups, made.stage)

    for table in ("payments", "transactions", "transfers"):
        made.streams[table] = stream(table)
    made.shard_updates = add_shards(
        derived, footprints, credits_, population, made.streams["transfers"].batch
    )
    derived.records["accounts"] += made.shard_updates  # type: ignore[assignment]
    calls["accounts"] += CALLS_PER_SHARD_UPDATE * made.shard_updates  # type: ignore[assignment]
    add_totals(derived, footprints, rates, population, made.streams["payments"].batch)
    made.streams["accounts"] = stream("accounts")


def _run_functions(
    made: Assessment,
    footprints: Mapping[str, Footprint],
    rates: Mapping[str, float],
    population: Population,
) -> None:
    """Invocations at once, and what each environment reads for itself."""
    made.requests = sum(rates.values())
    for name, rate in rates.items():
        function, seconds = request_seconds(footprints[name])
        made.concurrency[function] = made.concurrency.get(function, 0.0) + rate * seconds
        made.webhooks += rate * ("sqs send_message_batch" in +footprints[name].services)
    made.concurrency["project"] = sum(each.concurrency for each in made.streams.values())
    made.concurrency["deliver"] = made.webhooks / limits.DELIVERY_BATCH * delivery_seconds()
    environments = made.concurrency["process"] + made.concurrency.get("query", 0.0)
    batches = made.webhooks / limits.DELIVERY_BATCH
    profiles = Touch(Place("merchants"), Key("{merchant}"), read_units=EVENTUALLY_CONSISTENT)
    endpoints = Touch(
        Place("webhooks"), Key("endpoint#{merchant}"), read_units=EVENTUALLY_CONSISTENT
    )
    share = 1 / len(population.merchants)
    for merchant in population.merchants:
        cached = min(environments / limits.MERCHANT_CACHE_SECONDS, made.requests * share)
        made.load.requests.add(profiles, merchant, None, cached)
        made.load.derived.add(profiles, merchant, None, batches * share)
        made.load.derived.add(endpoints, f"endpoint#{merchant}", None, batches * share)


def request_seconds(footprint: Footprint) -> tuple[str, float]:
    """The function that serves a request, and how long an invocation takes."""
    reads = footprint.calls["query", ""]
    if reads:
        waits = ceil(reads / MAX_PARALLEL_BUCKETS) if reads > 2 else reads
        work = reads * limits.QUERY_CPU_SECONDS / HTTP_PROCESSOR_SHARE
        return "query", waits * limits.CALL_SECONDS + work
    asked = any(name.startswith("sandbox") for name in +footprint.services)
    waiting = footprint.calls["process", ""] * limits.CALL_SECONDS
    work = limits.REQUEST_CPU_SECONDS / HTTP_PROCESSOR_SHARE
    return "process", waiting + work + (limits.PROCESSOR_SECONDS if asked else 0.0)


def delivery_seconds() -> float:
    """How long a batch of webhooks takes that are all accepted: a read, a claim, the outcome."""
    return 3 * limits.CALL_SECONDS + limits.ENDPOINT_SECONDS


# -------------------------------------------------------------------- beside the limits


def findings_of_keys(usage: Usage) -> Iterator[Finding]:
    """The hottest key of each table and index, writes and reads apart."""
    for kinds, limit, unit in (
        (usage.writes, limits.PARTITION_WRITE_UNITS, "write units/s"),
        (usage.reads, limits.PARTITION_READ_UNITS, "read units/s"),
    ):
        for place, keys in kinds.items():
            key, units = keys.most_common(1)[0]
            yield Finding(Kind.KEY, f"{place} {key}", units, limit, unit)


def findings_of_items(usage: Usage) -> Iterator[Finding]:
    """The item with most transactions: conflicts beside what is tolerated."""
    for item, per_second in usage.locks.most_common(1):
        share = limits.conflicts(per_second)
        yield Finding(Kind.ITEM, item, share, limits.CONFLICTS_TOLERATED, "conflicts per attempt")


def _findings_of_streams(made: Assessment) -> Iterator[Finding]:
    for table in STREAMS:
        stream = made.streams[table]
        if stream.records:
            name = f"{table}: {stream.shards} shards, {stream.lanes} batches at once"
            capacity, part = stream.capacity, stream.keeps_up
            yield Finding(Kind.STREAM, name, stream.records, capacity, "records/s", part)
    accounts = made.load.derived.writes.get(Place("accounts"))
    if accounts:
        # Two units per update; all items of one partition key are in one shard of the stream.
        key, units = accounts.most_common(1)[0]
        lanes = made.stage.parallel("accounts") * made.streams["accounts"].fastest
        yield Finding(Kind.SHARD, f"accounts: the shard of {key}", units / 2, lanes, "records/s")


def _findings_of_quotas(made: Assessment, usage: Usage) -> Iterator[Finding]:
    for by_place, unit in ((usage.written, "write units/s"), (usage.read, "read units/s")):
        for place, units in by_place.most_common(3):
            yield Finding(Kind.QUOTA, f"{place}, all keys", units, limits.TABLE_UNITS, unit)
    at_once = sum(made.concurrency.values())
    yield Finding(
        Kind.QUOTA, "Lambda, all functions", at_once, limits.LAMBDA_CONCURRENCY, "invocations"
    )
    yield Finding(Kind.QUOTA, "API Gateway", made.requests, limits.API_REQUESTS, "requests/s")
    # Each environment decrypts the data keys of two subjects once per MAX_CACHE_SECONDS.
    decrypts = 2 * at_once / MAX_CACHE_SECONDS
    yield Finding(Kind.QUOTA, "KMS, data keys", decrypts, limits.KMS_REQUESTS, "requests/s")
    yield Finding(
        Kind.SETTING,
        "throttling of the stage",
        made.requests,
        made.stage.requests_per_second,
        "requests/s",
    )
    yield Finding(
        Kind.SETTING,
        "webhook batches at once (SQS)",
        made.concurrency["deliver"],
        made.stage.deliveries_at_once,
        "invocations",
    )
