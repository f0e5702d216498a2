"""The footprint of an operation: which keys it touches, and with how many units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from benchmarks.capacity.keys import Key, Place, Templates, names_new_id
from benchmarks.capacity.recording import (
    Call,
    Read,
    Recording,
    Written,
    partition_name,
    schema_of,
)
from runtime.dynamodb.capacity import Item, TableLayout, write_units
from runtime.ledger.hot_accounts.rules import is_credit_shard
from runtime.reporting.totals.models import COUNTED_ITEM

SERVING: Final = frozenset({"process", "query", "project", "deliver"})
"""The functions that requests and their derived rows need."""
DERIVING: Final = frozenset({"project", "deliver"})
_Group = tuple[str, Place, Key, str | None, bool]


@dataclass(frozen=True, slots=True)
class Touch:
    """Units that an operation takes of one key.

    `item`: the template of an item that a transaction locks and that other operations use, too. It
    is `locks` times in a transaction; without `item` the key's only item is.
    """

    place: Place
    key: Key
    write_units: float = 0.0
    read_units: float = 0.0
    item: str | None = None
    locks: int = 0
    is_derived: bool = False
    """By the projector or the sender of webhooks, not by the request."""


@dataclass
class Footprint:
    """One operation. `touches` are its own; `shared` are those that a batch of records shares.

    `shared_totals` is the row of totals that a batch of payments adds to, `shared_shard` a balance
    shard and its audit row, written once for all transfers of a batch. `credited` are the accounts
    with such shards. `calls` counts the operation's own calls of DynamoDB by function and, of the
    projector, by stream; `records` its own change records.
    """

    name: str
    transfer: str | None
    new_ids: int
    touches: tuple[Touch, ...]
    shared_totals: tuple[Touch, ...] = ()
    shared_shard: tuple[Touch, ...] = ()
    credited: tuple[str, ...] = ()
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    services: Counter[str] = field(default_factory=Counter)


def new_transfer(recording: Recording) -> Item | None:
    """The transfer that a recorded request created, if it did."""
    for call in recording.calls:
        for write in call.writes:
            if write.table == "transfers" and write.before is None and write.after is not None:
                return write.after
    return None


def opened_balance_rows(recording: Recording) -> bool:
    """Whether a balance shard was written for the first time: later writes have other keys."""
    writes = [write for call in recording.calls for write in call.writes]
    return any(write.table == "accounts" and write.before is None for write in writes)


def footprint_of(
    name: str, recording: Recording, known: Mapping[str, str], index_buckets: int
) -> Footprint:
    """The footprint of one request. Raises KeyRuleDiffers."""
    transfer = new_transfer(recording)
    transfer_id = None if transfer is None else transfer["id"]["S"]
    templates = Templates(known, index_buckets, transfer_id)
    touches: dict[_Group, Touch] = {}
    made = Footprint(name, None, 0, ())
    for call in recording.calls:
        if call.function not in SERVING:
            continue
        derived = call.function in DERIVING
        if not _is_shared(call):
            made.calls[call.function, _stream_of(call)] += 1
        for write in call.writes:
            if _group_of(write, call) == "own":
                _count_records(made, write)
            for group, touch in _touches_of_write(write, call, templates):
                _add(touches, group, replace(touch, is_derived=derived))
        for read in call.reads:
            if not _is_shared_read(call.function, read):
                touch = _touch_of_read(read, templates)
                _add(touches, "own", replace(touch, is_derived=derived))
    credited = [] if transfer is None else transfer["folded_accounts"]["L"]
    made.transfer = None if transfer_id is None else templates.of(transfer_id)
    made.new_ids = templates.new_ids
    made.touches = _of_group(touches, "own")
    made.shared_totals = _of_group(touches, "totals")
    made.shared_shard = _of_group(touches, "shard")
    made.credited = tuple(templates.of(each["S"]) for each in credited)
    made.services = Counter({name: n for name, n in recording.services.items() if " " in name})
    return made


# -------------------------------------------------------------------- one call


def _touches_of_write(
    write: Written, call: Call, templates: Templates
) -> Iterator[tuple[str, Touch]]:
    item = write.after or write.before or {}
    layout = TableLayout.of(schema_of(write.table))
    units = write_units(write.before, write.after, layout, transactional=call.is_transaction)
    group = _group_of(write, call)
    partition = Key(templates.of(item[layout.key_names[0]]["S"]))
    if write.table == "totals" and group == "totals":
        # A batch adds to the bucket of its first payment.
        partition = Key("{merchant}", "pay_{0}", templates.index_buckets)
        yield group, Touch(Place(write.table), partition, units.table, locks=1)
    else:
        locked = _locked(write, call, item, templates)
        locks = int(locked is not None)
        yield group, Touch(Place(write.table), partition, units.table, item=locked, locks=locks)
    for index, entry_units in units.indexes.items():
        if index == "gsi-unfolded":
            continue  # written when a bucket's row is created, once a day
        attribute = partition_name(write.table, index)
        images = [each for each in (write.before, write.after) if each and attribute in each]
        keys = {templates.key(write.table, attribute, each) for each in images}
        for key in keys:
            yield group, Touch(Place(write.table, index), key, entry_units / len(keys))


def _touch_of_read(read: Read, templates: Templates) -> Touch:
    # A bucket that is read has its number in the key: each of them is read by every request.
    key = Key(templates.of_read(read.key))
    return Touch(Place(read.table, read.index), key, read_units=read.units)


def _group_of(write: Written, call: Call) -> str:
    """Which rows of the projector a batch of records writes once."""
    if call.function != "project":
        return "own"
    item = write.after or write.before or {}
    if write.table == "accounts" and is_credit_shard(item["shard"]["S"]):
        return "shard"
    if write.table == "totals" and item["item"]["S"] != COUNTED_ITEM:
        return "totals"
    return "own"


def _is_shared(call: Call) -> bool:
    """Whether a batch of records makes the call once, or an execution environment does."""
    if any(_group_of(write, call) != "own" for write in call.writes):
        return True
    return not call.writes and all(_is_shared_read(call.function, read) for read in call.reads)


def _is_shared_read(function: str, read: Read) -> bool:
    """Reads that a batch or an execution environment makes once for many operations."""
    if read.table in ("merchants", "keys") or read.key.startswith("endpoint#"):
        return True
    return function == "project" and read.table in ("accounts", "entries")


def _locked(write: Written, call: Call, item: Item, templates: Templates) -> str | None:
    """The item that a transaction locks, unless it belongs to the operation alone."""
    if not call.is_transaction:
        return None
    names = schema_of(write.table).key_names
    if write.table == "accounts":
        names = names[:1]  # it names the shard
    values = [next(iter(item[name].values())) for name in names]
    template = templates.of("#".join(values))
    return None if names_new_id(template) else f"{write.table} {template}"


def _stream_of(call: Call) -> str:
    """Of a projector's call: the stream whose record it derives something from."""
    if call.function != "project":
        return ""
    table = next((write.table for write in call.writes), None)
    keys = [read.key for read in call.reads]
    if table == "audit_log":
        keys = [(write.after or {})["entity_id"]["S"] for write in call.writes if write.after]
    elif table == "entries" or (table is None and call.reads[0].table == "accounts"):
        return "transfers" if call.is_transaction or table is None else "accounts"
    elif table is not None:
        return "payments"  # totals and webhooks
    streams = {"pay": "payments", "txn": "transactions", "trf": "transfers", "acc": "accounts"}
    return streams.get(keys[0].partition("_")[0], "payments")


def _count_records(made: Footprint, write: Written) -> None:
    if write.before != write.after and schema_of(write.table).stream:
        made.records[write.table] += 1


# -------------------------------------------------------------------- sums


def _add(touches: dict[_Group, Touch], group: str, touch: Touch) -> None:
    place = (group, touch.place, touch.key, touch.item, touch.is_derived)
    known = touches.get(place)
    if known is not None:
        touch = replace(
            known,
            write_units=known.write_units + touch.write_units,
            read_units=known.read_units + touch.read_units,
            locks=known.locks + touch.locks,
        )
    touches[place] = touch


def _of_group(touches: Mapping[_Group, Touch], group: str) -> tuple[Touch, ...]:
    return tuple(touch for (name, *_), touch in touches.items() if name == group)
