"""What one transfer costs: round trips and write units, by table and index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.meter import Meter
from runtime.models.account import PROFILE_SHARD, Account
from runtime.models.scope import EVERYBODY
from runtime.models.transfer import Transfer
from runtime.repositories.accounts import AccountRepository, is_number_guard
from runtime.repositories.folding import FoldRepository
from runtime.repositories.store import Store
from runtime.services.entries_projection import EntriesProjection
from runtime.services.folding_projection import FoldingProjection
from runtime.services.projector import Kind, Projector, StreamRecord
from tests.support.world import World

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Units = Counter[tuple[str, str | None]]
"""Write units by table and index; the index None is the table itself."""


@dataclass(frozen=True)
class Price:
    """What the request costs, and what is derived from it later."""

    trips: int = 0
    units: Units = field(default_factory=Counter)
    derived: Units = field(default_factory=Counter)

    @property
    def requested(self) -> int:
        """Write units on the request's path."""
        return self.units.total()

    @property
    def together(self) -> int:
        """Write units with those of the derived rows."""
        return self.requested + self.derived.total()


def price_of(transfer: Callable[[], object], client: Any, reader: DynamoDBClient) -> Price:
    """What `transfer` asks of `client`."""
    meter = Meter(reader)
    meter.attach(client)
    try:
        transfer()
    finally:
        meter.detach(client)  # it reads before and after every write, and would slow the rates
    return Price(meter.round_trips, Counter(meter.written))


def price_of_ours(
    transfer: Callable[[], object], world: World, store: Store, accounts: tuple[str, ...]
) -> Price:
    """What our `transfer` between `accounts` costs, and the projection of its change streams."""
    before = _images(store, accounts)
    price = price_of(transfer, store.client, world.client)
    codec = store.codec
    records = [
        StreamRecord("accounts", Kind.MODIFY, str(at), codec.to_item(old), codec.to_item(new))
        for at, (old, new) in enumerate(zip(before, _images(store, accounts), strict=True))
        if old.version != new.version
    ]
    latest = max(world.rows(Transfer), key=lambda row: row.id)
    records.append(StreamRecord("transfers", Kind.INSERT, "last", None, codec.to_item(latest)))
    projector = _projector(world, store)
    derived: Units = Counter()
    for record in records:
        # One by one: entries are written on several threads, and the meter follows one at a time.
        apply = partial(projector.apply, [record])
        derived += price_of(apply, store.client, world.client).units
    return Price(price.trips, price.units, derived)


def _images(store: Store, accounts: tuple[str, ...]) -> list[Account]:
    found = (
        store.get(Account, {"id": each, "shard": PROFILE_SHARD}, Account, EVERYBODY)
        for each in accounts
    )
    return [row for row in found if row is not None]


def _projector(world: World, store: Store) -> Projector:
    folding = FoldingProjection(
        FoldRepository(store), AccountRepository(store), world.clock, lambda: "bench"
    )
    return Projector(
        store.codec,
        {"accounts": (EntriesProjection(store),), "transfers": (folding,)},
        is_number_guard,
    )
