"""The cost of one request: round trips and units, by table and index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.bill.meter import ItemWrite, Meter
from runtime.core.scope import UNRESTRICTED
from runtime.dynamodb.store import Store
from runtime.functions.composition.projector import Projector
from runtime.ledger.accounts.models import PROFILE_SHARD, Account
from runtime.ledger.accounts.repository import AccountRepository, is_number_guard
from runtime.ledger.entries.projection import EntriesProjection
from runtime.ledger.hot_accounts.projection import ShardProjection
from runtime.ledger.hot_accounts.repository import ShardRepository
from runtime.ledger.transfers.models import Transfer
from runtime.streams.records import Kind, StreamRecord
from tests.support.fakes import ParkingLot
from tests.support.platform import Platform

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Units = Counter[tuple[str, str | None]]
"""Write units by table and index; the index None is the table itself."""


def by_place(units: Units) -> str:
    """Units by table and index, in one line."""
    names = {place: f"{place[0].rpartition('-')[2]}/{place[1] or 'table'}" for place in units}
    return ", ".join(f"{names[place]} {count}" for place, count in units.items() if count)


@dataclass(frozen=True)
class Price:
    """The cost of the request, and of what is derived from it later."""

    trips: int = 0
    units: Units = field(default_factory=Counter)
    derived: Units = field(default_factory=Counter)
    read_units: float = 0.0
    writes: tuple[ItemWrite, ...] = ()

    @property
    def requested(self) -> int:
        """Write units on the request's path."""
        return self.units.total()

    @property
    def together(self) -> int:
        """Write units with those of the derived rows."""
        return self.requested + self.derived.total()


def price_of(request: Callable[[], object], client: Any, reader: DynamoDBClient) -> Price:
    """The cost of `request` on `client`."""
    meter = Meter(reader)
    meter.attach(client)
    try:
        request()
    finally:
        meter.detach(client)  # it reads around every write, which would slow the measurements
    return Price(
        meter.round_trips,
        Counter(meter.written),
        read_units=meter.read_units,
        writes=tuple(meter.writes),
    )


def price_of_ours(
    transfer: Callable[[], object], platform: Platform, store: Store, accounts: tuple[str, ...]
) -> Price:
    """The cost of our `transfer` between `accounts`, and of projecting its stream records."""
    before = _images(store, accounts)
    price = price_of(transfer, store.client, platform.client)
    codec = store.codec
    records = [
        StreamRecord("accounts", Kind.MODIFY, str(at), codec.to_item(old), codec.to_item(new))
        for at, (old, new) in enumerate(zip(before, _images(store, accounts), strict=True))
        if old.version != new.version
    ]
    latest = max(platform.rows(Transfer), key=lambda row: row.id)
    records.append(stored(latest, store))
    return replace(price, derived=derived_units(records, platform, store))


def stored(transfer: Transfer, store: Store) -> StreamRecord:
    """The stream record of a new transfer."""
    image = store.codec.to_item(transfer)
    return StreamRecord("transfers", Kind.INSERT, transfer.id, None, image)


def derived_units(records: Iterable[StreamRecord], platform: Platform, store: Store) -> Units:
    """The writes of projecting `records`, each one separately."""
    projector = _projector(platform, store)
    derived: Units = Counter()
    for record in records:
        # One by one: entries are written on several threads, and the meter follows one at a time.
        apply = partial(projector.apply, [record])
        derived += price_of(apply, store.client, platform.client).units
    return derived


def _images(store: Store, accounts: tuple[str, ...]) -> list[Account]:
    found = (
        store.get(Account, {"id": each, "shard": PROFILE_SHARD}, Account, UNRESTRICTED)
        for each in accounts
    )
    return [row for row in found if row is not None]


def _projector(platform: Platform, store: Store) -> Projector:
    parking = ParkingLot()
    folding = ShardProjection(
        ShardRepository(store), AccountRepository(store), platform.outside, lambda: "bench", parking
    )
    return Projector(
        store.codec,
        {"accounts": (EntriesProjection(store),), "transfers": (folding,)},
        is_number_guard,
        parking,
    )
