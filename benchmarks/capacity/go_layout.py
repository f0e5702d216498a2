"""The Go example's layout, recorded: its payments, transactions, idempotency and audit rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from benchmarks.capacity.footprint import Footprint, Touch
from benchmarks.capacity.keys import Place, Templates
from benchmarks.rivals.baseline_tables import create_tables
from benchmarks.rivals.sale_baselines import TABLES, GoSales
from runtime.core.ids import RANDOM_BYTES, id_at
from runtime.dynamodb.capacity import Consistency, TableLayout, read_units, write_units
from runtime.payments.processors.port import ChargeRequest
from runtime.payments.rules import Approved
from simulation.dynamodb import InMemoryClient, InMemoryDynamoDB, Table
from simulation.outside import BEGINNING

NAME: Final = "payment of the Go example"
_USER: Final = "shop-backend@7d1f0c2a"
_PREFIX: Final = "rival-sale-"


def go_footprint() -> Footprint:
    """The footprint of its payment. It has no ledger, and no rows that are derived later."""
    merchant, client = _recorded_sale()
    known = {merchant: "{merchant}", _USER: "shop-backend@{merchant}"}
    templates = Templates(known, index_buckets=1)
    touches: dict[tuple[Place, str], Touch] = {}
    for place, value, written, read in client.touched:
        template = templates.key_of(value)
        so_far = touches.get((place, template.template), Touch(place, template))
        touches[place, template.template] = Touch(
            place, template, so_far.write_units + written, so_far.read_units + read
        )
    calls = Counter({("process", ""): client.count})
    return Footprint(NAME, None, templates.new_ids, tuple(touches.values()), calls=calls)


def go_tables() -> Mapping[str, Table]:
    """Its tables after one sale."""
    return _recorded_sale()[1].database.tables


def _recorded_sale() -> tuple[str, _RecordedClient]:
    """The merchant of one sale, and the client that recorded it."""
    dice = Random("go")
    merchant, key = (
        id_at(kind, BEGINNING, dice.randbytes(RANDOM_BYTES)) for kind in ("mer", "key")
    )
    client = _RecordedClient()
    GoSales(client, _Processor(), merchant, _Clock()).sell(key)  # type: ignore[arg-type]
    return merchant, client


class _Processor:
    """Approves at once."""

    def charge(self, request: ChargeRequest) -> Approved:
        return Approved(
            processor_id=f"sbx_{request.reference.partition('_')[2]}",
            response_code="approved",
            response_text="Approved",
            fee_minor=175,
        )


@dataclass
class _Clock:
    """Each reading is later than the one before: the time is a part of an audit row's key."""

    readings: int = 0

    def __call__(self) -> datetime:
        self.readings += 1
        return BEGINNING + timedelta(milliseconds=self.readings)


@dataclass
class _RecordedClient:
    """Notes what each call touches: place, partition key, write units and read units."""

    touched: list[tuple[Place, str, float, float]] = field(default_factory=list)
    count: int = 0
    database: InMemoryDynamoDB = field(default_factory=lambda: InMemoryDynamoDB(now=lambda: 0.0))
    _inner: Any = None

    def __post_init__(self) -> None:
        self._inner = InMemoryClient(self.database)
        create_tables(self._inner, TABLES)

    def get_item(self, **request: Any) -> Any:
        """Its only read, of a row that is not there."""
        self.count += 1
        (key,) = request["Key"].values()
        units = read_units(0, Consistency.EVENTUAL)
        self.touched.append((_place(request["TableName"]), key["S"], 0.0, units))
        return self._inner.get_item(**request)

    def put_item(self, **request: Any) -> Any:
        """Noted with the item before and after."""
        names = TABLES[request["TableName"]][0]
        return self._write("put_item", request, {name: request["Item"][name] for name in names})

    def update_item(self, **request: Any) -> Any:
        """Noted with the item before and after."""
        return self._write("update_item", request, request["Key"])

    def _write(self, operation: str, request: Mapping[str, Any], key: Mapping[str, Any]) -> Any:
        self.count += 1
        table = request["TableName"]
        layout = TableLayout.described(self._inner.describe_table(TableName=table)["Table"])
        before = self._inner.get_item(TableName=table, Key=key).get("Item")
        answer = getattr(self._inner, operation)(**request)
        after = self._inner.get_item(TableName=table, Key=key)["Item"]
        units = write_units(before, after, layout, transactional=False)
        partition = after[layout.key_names[0]]["S"]
        self.touched.append((_place(table), partition, units.table, 0.0))
        for index, entry_units in units.indexes.items():
            value = after[layout.index(index).key_names[0]]["S"]
            self.touched.append((_place(table, index), value, entry_units, 0.0))
        return answer


def _place(table: str, index: str | None = None) -> Place:
    return Place(table.removeprefix(_PREFIX), index)
