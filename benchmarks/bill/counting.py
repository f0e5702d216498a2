"""Counts what each operation and each scheduled run uses, for stacks/costs/uses.json."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from benchmarks.bill.counted_stage import ARCHIVE, PROCESS, PROOF, QUERY, SCHEDULED, CountedStage
from benchmarks.bill.counted_stage import Use as Counted
from benchmarks.bill.shop import Shop
from runtime.dynamodb.capacity import item_size
from runtime.tables import ALL_TABLES
from simulation.dynamodb import Table
from simulation.outside import BEGINNING
from stacks.costs.uses import Operation, Run, Stored, Use

PARTNER_CPU_SECONDS: Final = 0.001
"""Assumed CPU of a call to SQS, S3 or KMS with botocore."""
ITEM_OVERHEAD_BYTES: Final = 100
"""DynamoDB Developer Guide, "DynamoDB item sizes and formats" and "Using global secondary indexes":
billed in addition for each stored item, and for each index entry."""
S3_READS: Final = ("s3 get_object", "s3 head_object")
MORE_MERCHANTS: Final = 10
OPENING_SALES: Final = 300
"""Sales before anything is counted, so that nearly all of a hot account's 64 balance shards exist:
the first posting of each creates a row, and that is not a cost of a posting."""
SANDBOX_TABLE: Final = "sandbox_charges"
"""Rows of the sandbox, which a real processor keeps itself."""
ENDPOINT, WEBHOOK = "endpoint", "webhook"


@dataclass(frozen=True)
class Sample:
    """How many operations are counted: derived one by one, and in full batches."""

    alone: int = 20
    together: int = 100


@dataclass(frozen=True)
class Counting:
    """How one operation is counted.

    `prepare` gives its subject, and is not counted.
    """

    operation: Callable[[Shop], Callable[..., object]]
    prepare: Callable[[Shop], Callable[[], str]] | None = None
    has_endpoint: bool = False


COUNTINGS: Final[Mapping[str, Counting]] = {
    "sale": Counting(lambda shop: shop.sell),
    "sale to a customer": Counting(lambda shop: shop.sell_to_customer),
    "declined sale": Counting(lambda shop: shop.decline),
    "authorization": Counting(lambda shop: shop.authorize),
    "capture": Counting(lambda shop: shop.capture, lambda shop: shop.authorize),
    "refund": Counting(lambda shop: shop.refund, lambda shop: shop.sell),
    "transfer": Counting(lambda shop: shop.transfer),
    "read": Counting(lambda shop: shop.read, lambda shop: shop.sell),
    "list": Counting(lambda shop: shop.list_payments),
    # A sale with a webhook; the webhook is what it has more than a sale.
    WEBHOOK: Counting(lambda shop: shop.sell, has_endpoint=True),
}


def use_of(counted: Counted, count: int, client_cpu: float, *, function: str = "") -> Use:
    """The average use of one of `count`; `client_cpu` is the seconds of one call to DynamoDB."""
    remote = counted.remote
    s3 = counted.calls_of("s3")
    gets = sum(remote[name] for name in S3_READS)
    signatures = remote["kms sign"]
    partners = remote.total() - remote[ENDPOINT]
    total = Use(
        invocations=counted.invocations,
        requests=counted.invocations if function in (PROCESS, QUERY) else 0.0,
        calls=counted.calls,
        write_units=counted.write_units,
        read_units=counted.read_units,
        sqs=counted.calls_of("sqs"),
        s3_puts=s3 - gets,
        s3_gets=gets,
        kms=counted.calls_of("kms") - signatures,
        signatures=signatures,
        log_bytes=counted.log_bytes,
        waited_seconds=counted.waited,
        cpu_seconds=counted.cpu + counted.calls * client_cpu + partners * PARTNER_CPU_SECONDS,
    )
    return total.times(1.0 / count)


def uses_of(stage: CountedStage, count: int, client_cpu: float) -> dict[str, Use]:
    """The average uses of `count` operations, by function."""
    return {
        name: use_of(counted, count, client_cpu, function=name)
        for name, counted in stage.uses.items()
    }


class CountedOperation(NamedTuple):
    """One operation, and the tables that functions use for it."""

    operation: Operation
    tables: Mapping[str, set[str]]


def counted_operations(
    client_cpu: float, sample: Sample, tables: dict[str, set[str]]
) -> dict[str, Operation]:
    """All operations of COUNTINGS; adds the tables that functions use.

    Each is counted in a fork of this process, and so on a shop that no other operation has changed,
    because opening a shop takes longer than counting.
    """
    shops = {has: opened_shop(has_endpoint=has) for has in (False, True)}
    operations = {}
    for name, counting in COUNTINGS.items():
        shop = shops[counting.has_endpoint]
        operations[name], used = _counted_in_a_fork(shop, counting, client_cpu, sample)
        for function, names in used.items():
            tables.setdefault(function, set()).update(names)
    return operations


def counted_operation(name: str, client_cpu: float, sample: Sample) -> Operation:
    """One operation of COUNTINGS, on a shop of its own."""
    counting = COUNTINGS[name]
    shop = opened_shop(has_endpoint=counting.has_endpoint)
    return _counted_on(shop, counting, client_cpu, sample).operation


def opened_shop(*, has_endpoint: bool) -> Shop:
    """A shop that has sold, with all accounts."""
    shop = Shop(has_endpoint=has_endpoint)
    shop.open_accounts()
    shop.each(shop.sell, OPENING_SALES, at_once=True)
    return shop


def _counted_in_a_fork(
    shop: Shop, counting: Counting, client_cpu: float, sample: Sample
) -> CountedOperation:
    """Raises RuntimeError if the fork has failed; its error is printed."""

    def count(answer: Connection) -> None:
        answer.send(_counted_on(shop, counting, client_cpu, sample))

    fork = multiprocessing.get_context("fork")
    answer, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=count, args=(theirs,))
    process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    try:
        counted: CountedOperation = answer.recv()
    except EOFError as ended:
        raise RuntimeError("The process that counts an operation ended: see above.") from ended
    finally:
        answer.close()
        process.join()
    return counted


def _counted_on(
    shop: Shop, counting: Counting, client_cpu: float, sample: Sample
) -> CountedOperation:
    operation = counting.operation(shop)
    subjects = _prepared(shop, counting, sample.alone)
    before = stored_bytes(shop.stage)
    shop.stage.forget_uses()
    shop.each(operation, subjects, at_once=False)
    alone = uses_of(shop.stage, sample.alone, client_cpu)
    stored = tuple(grown(before, stored_bytes(shop.stage), sample.alone))
    archived = shop.stage.archived_bytes / sample.alone
    tables = {name: set(use.tables) for name, use in shop.stage.uses.items()}
    subjects = _prepared(shop, counting, sample.together)
    shop.stage.forget_uses()
    shop.each(operation, subjects, at_once=True)
    together = uses_of(shop.stage, sample.together, client_cpu)
    return CountedOperation(
        Operation(alone=alone, together=together, stored=stored, archived_bytes=archived), tables
    )


def _prepared(shop: Shop, counting: Counting, count: int) -> list[str] | int:
    """The subjects of `count` operations, or their number if they have none."""
    if counting.prepare is None:
        return count
    prepare = counting.prepare(shop)
    subjects = [prepare() for _ in range(count)]
    shop.stage.drain()
    return subjects


def webhook_alone(with_webhook: Operation, sale: Operation) -> Operation:
    """What a sale with a webhook uses more than one without."""

    def more(ours: Mapping[str, Use], its: Mapping[str, Use]) -> dict[str, Use]:
        # Another run of the same code differs a little in CPU: never less than nothing.
        return {
            name: Use(
                **{kind: max(value, 0.0) for kind, value in use.plus(its.get(name, Use()), -1.0)}
            )
            for name, use in ours.items()
        }

    audited = {each.table for each in sale.stored}
    return Operation(
        alone=more(with_webhook.alone, sale.alone),
        together=more(with_webhook.together, sale.together),
        # Its own row; a webhook is not audited, so it adds nothing to the archive.
        stored=tuple(each for each in with_webhook.stored if each.table not in audited),
    )


# -------------------------------------------------------------------- scheduled runs


def counted_runs(client_cpu: float, tables: dict[str, set[str]]) -> dict[str, Run]:
    """A run of each schedule where nothing is due, with one merchant and with more."""
    shop = Shop()
    few = {name: _idle_run(shop.stage, name, client_cpu, tables) for name in _schedules()}
    for number in range(MORE_MERCHANTS):
        shop.open_merchant(f"bench-{number}")
    shop.stage.drain()
    runs = {}
    for name, with_one in few.items():
        with_more = _idle_run(shop.stage, name, client_cpu, {})
        difference = with_more.plus(with_one, -1.0).times(1.0 / MORE_MERCHANTS)
        merchant = Use(**{kind: max(value, 0.0) for kind, value in difference})
        fixed = with_one.plus(merchant, -1.0)
        runs[name] = Run(fixed=Use(**{k: max(v, 0.0) for k, v in fixed}), merchant=merchant)
    return runs


def _schedules() -> tuple[str, ...]:
    return tuple(name for name in (*SCHEDULED, ARCHIVE) if name != PROOF)


def _idle_run(
    stage: CountedStage, name: str, client_cpu: float, tables: dict[str, set[str]]
) -> Use:
    """The second of two runs on the same day and the next: the first finds what was left."""
    for _ in range(2):
        stage.clock.now += timedelta(days=1).total_seconds()
        stage.drain()
        stage.forget_uses()
        stage.invoke(name, {})
    counted = stage.uses[name]
    tables.setdefault(name, set()).update(counted.tables)
    return use_of(counted, 1, client_cpu)


# -------------------------------------------------------------------- stored bytes

_Sizes = dict[tuple[str, bool], tuple[float, float, float, int]]
"""By table and whether it expires: bytes of items and of entries, and days of all items and their
number."""


def stored_bytes(stage: CountedStage) -> _Sizes:
    """What the tables of a stage hold, with DynamoDB's overhead."""
    expiry = {schema.name: schema.ttl_attribute for schema in ALL_TABLES}
    now = BEGINNING.timestamp() + stage.clock.now
    sizes: _Sizes = {}
    for name, table in stage.database.tables.items():
        if name == SANDBOX_TABLE:
            continue
        for item_bytes, entry_bytes, expires in _items(table, expiry[name]):
            kind = (name, expires is not None)
            items, entries, days, count = sizes.get(kind, (0.0, 0.0, 0.0, 0))
            left = 0.0 if expires is None else (expires - now) / timedelta(days=1).total_seconds()
            sizes[kind] = (items + item_bytes, entries + entry_bytes, days + left, count + 1)
    return sizes


def _items(table: Table, expiry: str | None) -> Iterator[tuple[float, float, float | None]]:
    for item in table.items.values():
        typed: Any = item
        entries = [index.entry(typed) for index in table.layout.indexes]
        entry_bytes = sum(
            item_size(each) + ITEM_OVERHEAD_BYTES for each in entries if each is not None
        )
        expires = float(typed[expiry]["N"]) if expiry and expiry in typed else None
        yield item_size(typed) + ITEM_OVERHEAD_BYTES, entry_bytes, expires


def grown(before: _Sizes, after: _Sizes, count: int) -> Iterator[Stored]:
    """What `count` operations have added, for each of them."""
    for kind in sorted(after):
        items, entries, _, _ = before.get(kind, (0.0, 0.0, 0.0, 0))
        items_now, entries_now, days, number = after[kind]
        if items_now > items:
            yield Stored(
                table=kind[0],
                item_bytes=(items_now - items) / count,
                entry_bytes=(entries_now - entries) / count,
                days=round(days / number, 1) if kind[1] else None,
            )
