"""The bill of a month, from prices, the resources of a stage, counted uses and a workload."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from stacks.costs.canary import CANARY, SECRETS, canary_run, canary_uses
from stacks.costs.canary import METRICS as CANARY_METRICS
from stacks.costs.prices import DAYS_PER_MONTH, GIGABYTE, SECONDS_PER_MONTH, PriceList
from stacks.costs.resources import ESM_METRICS, ROUTE_METRICS, FunctionResource, StageResources
from stacks.costs.storage import Storage, stored_after
from stacks.costs.uses import Use, Uses
from stacks.costs.workload import Workload

IDLE: Final = "idle"
STORED: Final = "stored data"
SCHEDULES: Final = "schedules"
VERIFICATION: Final = "ledger verification"
METRICS: Final = "metrics of routes and streams"
PLATFORM_LOG_BYTES: Final = 500
"""Lambda's own lines of an invocation (platform.start, platform.report)."""
ACCESS_LOG_BYTES: Final = 450
"""API Gateway's line of a request."""
TRACED_SHARE: Final = 0.05
"""X-Ray records a request a second and this share of the rest (Lambda Developer Guide, "Visualize
Lambda function invocations using AWS X-Ray"). The guide does not say whether that second is of a
function or of the account: it counts for each function, which may be too much, never too little."""
QUEUE_POLLS_PER_MONTH: Final = 5 * SECONDS_PER_MONTH / 20
"""Of an empty queue: Lambda keeps five long polls of 20 s going (Lambda Developer Guide,
"Configuring scaling behavior for SQS event source mappings")."""
COMPRESSED_LOGS: Final = 0.2
"""What is left of a log once it is compressed, in the examples of CloudWatch's price page."""
TABLE_KEY_SECONDS: Final = 300
"""How long DynamoDB caches a table's key for each caller (DynamoDB Developer Guide, "Encryption at
rest: how it works")."""
ROUTES: Final[Mapping[str, str]] = {
    "sale": "POST /v1/payments",
    "sale to a customer": "POST /v1/payments",
    "authorization": "POST /v1/payments",
    "declined sale": "POST /v1/payments",
    "capture": "POST /v1/payments/{id}/capture",
    "refund": "POST /v1/payments/{id}/refund",
    "transfer": "POST /v1/transfers",
    "read": "GET /v1/payments/{id}",
    "list": "GET /v1/payments",
}


@dataclass(frozen=True)
class Charge:
    """An amount of one price. `part`: what it is for."""

    price: str
    part: str
    quantity: float
    dollars: float = 0.0


@dataclass(frozen=True)
class Bill:
    """All charges of a month."""

    workload: Workload
    charges: tuple[Charge, ...]
    services: Mapping[str, str]
    """The AWS service of each price."""

    @property
    def dollars(self) -> float:
        """The sum."""
        return sum(each.dollars for each in self.charges)

    @property
    def per_thousand(self) -> float:
        """Dollars per 1,000 payments. Raises ZeroDivisionError without payments."""
        return 1_000 * self.dollars / self.workload.payments

    def by_service(self) -> dict[str, float]:
        """Dollars by AWS service, the largest first."""
        return _summed((self.services[each.price], each.dollars) for each in self.charges)

    def by_part(self) -> dict[str, float]:
        """Dollars by what they are for, the largest first."""
        return _summed((each.part, each.dollars) for each in self.charges)

    def of(self, *parts: str) -> float:
        """Dollars of these parts."""
        return sum(each.dollars for each in self.charges if each.part in parts)


def bill_of(workload: Workload, resources: StageResources, uses: Uses, prices: PriceList) -> Bill:
    """The bill of the last of `workload.months` equal months."""
    spent: dict[str, dict[str, Use]] = {}  # by part and function
    for name, count in workload.operations().items():
        spent[name] = _operation(name, count, workload, resources, uses)
    spent[SCHEDULES] = dict(_runs(workload, resources, uses))
    spent[CANARY] = dict(canary_uses(resources, uses))
    if "proof" in resources.runs:
        spent[VERIFICATION] = {"proof": _verifications(workload, resources, uses)}
    charges = [
        charge
        for part, by_function in spent.items()
        for function, use in by_function.items()
        for charge in charges_of(part, use, resources.functions[function])
    ]
    invocations = _invocations(spent)
    charges += _traces(spent, invocations, resources)
    charges += _table_keys(invocations, uses)
    charges += _standing(workload, resources)
    charges += _metrics(workload, resources, uses)
    logged = sum(c.quantity for c in charges if c.price == "logs-ingested")
    storage = stored_after(workload, resources, uses, workload.months)
    charges += _stored(storage, logged, resources, workload)
    if resources.records_functions:
        charges += list(_data_events(spent))
    services = {name: price.service for name, price in prices.prices.items()}
    return Bill(workload, tuple(_priced(charges, prices)), services)


# -------------------------------------------------------------------- what functions use


def _operation(
    name: str, count: float, workload: Workload, resources: StageResources, uses: Uses
) -> dict[str, Use]:
    operation = uses.operations[name]
    functions = sorted({*operation.alone, *operation.together})
    return {
        function: operation.use(
            function, workload.together_share(resources.windows.get(function, 0.0))
        ).times(count)
        for function in functions
    }


def _runs(workload: Workload, resources: StageResources, uses: Uses) -> Iterator[tuple[str, Use]]:
    for name, count in resources.runs.items():
        run = uses.runs.get(name)
        if run is not None:
            yield name, run.fixed.plus(run.merchant, workload.merchants).times(count)


def uncounted_schedules(resources: StageResources, uses: Uses) -> list[str]:
    """Schedules of the stage whose runs were not counted: they are missing in its bill."""
    return sorted(resources.runs.keys() - uses.runs.keys() - {"proof", CANARY})


def _verifications(workload: Workload, resources: StageResources, uses: Uses) -> Use:
    """Incremental runs over the month's payments, and full ones over all that are stored."""
    runs = resources.runs["proof"]
    days = float(resources.functions["proof"].environment["FULL_DAYS"])
    full_runs = min(DAYS_PER_MONTH / days, runs)
    full, incremental = uses.full_verification, uses.incremental_verification
    everything = full.fixed.plus(full.sale, workload.payments * workload.months)
    changed = incremental.fixed.times(runs - full_runs).plus(incremental.sale, workload.payments)
    return changed.plus(everything, full_runs).plus(Use(invocations=runs))


def charges_of(part: str, use: Use, function: FunctionResource) -> Iterator[Charge]:
    """What the use of one function costs, without its traces."""
    gigabyte_seconds = use.seconds(function.memory_megabytes) * function.memory_megabytes / 1_024
    log_bytes = (
        use.log_bytes + use.invocations * PLATFORM_LOG_BYTES + use.requests * ACCESS_LOG_BYTES
    )
    amounts = {
        "dynamodb-write": use.write_units,
        "dynamodb-read": use.read_units,
        f"lambda-{function.architecture}": gigabyte_seconds,
        "lambda-request": use.invocations,
        "gateway-request": use.requests,
        "sqs-request": use.sqs,
        "s3-put": use.s3_puts,
        "s3-get": use.s3_gets,
        "kms-request": use.kms,
        "kms-signature": use.signatures,
        "secret-request": use.secrets,
        "logs-ingested": log_bytes / GIGABYTE,
    }
    return (Charge(price, part, amount) for price, amount in amounts.items() if amount)


def _invocations(spent: Mapping[str, Mapping[str, Use]]) -> dict[str, float]:
    """By function, in the month."""
    return _summed(
        (name, use.invocations) for functions in spent.values() for name, use in functions.items()
    )


def traces(invocations: float) -> float:
    """Traces that X-Ray records of so many invocations of a function, spread over a month."""
    first = min(invocations, SECONDS_PER_MONTH)
    return first + TRACED_SHARE * (invocations - first)


def _traces(
    spent: Mapping[str, Mapping[str, Use]],
    invocations: Mapping[str, float],
    resources: StageResources,
) -> Iterator[Charge]:
    for part, functions in spent.items():
        for name, use in functions.items():
            if resources.functions[name].is_traced and use.invocations:
                share = traces(invocations[name]) / invocations[name]
                yield Charge("trace", part, use.invocations * share)


def _table_keys(invocations: Mapping[str, float], uses: Uses) -> Iterator[Charge]:
    """Requests with the key of the tables: one for each caller and table in five minutes."""
    most = SECONDS_PER_MONTH / TABLE_KEY_SECONDS
    for function, count in invocations.items():
        part = SCHEDULES if function in uses.runs else "sale"
        tables = len(uses.tables.get(function, ()))
        yield Charge("kms-request", part, tables * min(count, most))


def _data_events(spent: Mapping[str, Mapping[str, Use]]) -> Iterator[Charge]:
    """Each call to a table or a bucket is an event."""
    for part, functions in spent.items():
        calls = sum(use.calls + use.s3_puts + use.s3_gets for use in functions.values())
        yield Charge("trail-event", part, calls)


# -------------------------------------------------------------------- what is there anyway


def _standing(workload: Workload, resources: StageResources) -> Iterator[Charge]:
    """What is billed without any payment, besides the runs of schedules."""
    # Encryption keys rotate every year, and each of the first two rotations costs as much as a key.
    rotations = min((workload.months - 1) // 12, 2)
    snapshots = sum(
        each.memory_megabytes / 1_024 for each in resources.functions.values() if each.has_snapshots
    )
    amounts = {
        "kms-key": resources.keys + rotations * (resources.keys - resources.signing_keys),
        "alarm-metric": resources.alarm_metrics,
        "alarm-composite": resources.types.get("AWS::CloudWatch::CompositeAlarm", 0),
        "dashboard": resources.dashboards,
        "secret": resources.types.get("AWS::SecretsManager::Secret", 0)
        + (SECRETS if CANARY in resources.runs else 0),
        "sqs-request": resources.polled_queues * QUEUE_POLLS_PER_MONTH,
        "lambda-snapshot": snapshots * SECONDS_PER_MONTH,
    }
    return (Charge(price, IDLE, amount) for price, amount in amounts.items() if amount)


def _metrics(workload: Workload, resources: StageResources, uses: Uses) -> Iterator[Charge]:
    """Detailed metrics are billed while data points arrive: of routes and streams in use.

    A canary keeps those of its routes, and those of all streams if it pays, and has its own.
    """
    run = canary_run(resources, uses)
    used = {ROUTES[name] for name, n in workload.operations().items() if n and name in ROUTES}
    if run is not None:
        used.update(run.routes)
        yield Charge("metric", CANARY, CANARY_METRICS)
    routes = min(len(used), resources.routes_with_metrics) * ROUTE_METRICS
    has_records = workload.payments > 0 or (run is not None and run.archived_bytes > 0)
    streams = resources.stream_mappings_with_metrics * ESM_METRICS if has_records else 0
    yield Charge("metric", METRICS, routes + streams)


def _stored(
    storage: Storage, logged: float, resources: StageResources, workload: Workload
) -> Iterator[Charge]:
    items, entries = storage.item_gigabytes, storage.entry_gigabytes
    yield Charge("dynamodb-storage", STORED, items + entries)
    if resources.has_recovery:
        # Billed for the table and its local indexes; a stage has only global ones.
        yield Charge("dynamodb-recovery", STORED, items)
    yield Charge("s3-storage", STORED, storage.archive_gigabytes)
    log_months = kept_months(resources.log_days, workload.months)
    yield Charge("logs-stored", STORED, logged * log_months * COMPRESSED_LOGS)
    for rule in resources.backups:
        yield Charge("backup-dynamodb", STORED, items * rule.copies(workload.months))


def kept_months(days: float | None, months: int) -> float:
    """For how many of the last months something is kept that expires after `days`."""
    return float(months) if days is None else min(days / DAYS_PER_MONTH, float(months))


# -------------------------------------------------------------------- sums


def _priced(charges: Iterable[Charge], prices: PriceList) -> Iterator[Charge]:
    """Charges with their dollars: a discount for quantity is shared by all charges of a price."""
    charges = [each for each in charges if each.quantity]
    totals = _summed((each.price, each.quantity) for each in charges)
    for each in charges:
        total = totals[each.price]
        yield replace(each, dollars=prices[each.price].of(total) * each.quantity / total)


def _summed(amounts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Sums by name, the largest first."""
    sums: defaultdict[str, float] = defaultdict(float)
    for name, amount in amounts:
        sums[name] += amount
    return dict(sorted(sums.items(), key=lambda each: -each[1]))
