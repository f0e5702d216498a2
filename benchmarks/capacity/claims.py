"""The rates that the platform is meant for, each compared with what the layout supports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.capacity import limits
from benchmarks.capacity.assessment import LAYOUT, Assessment, Finding, Kind, findings_of_keys
from benchmarks.capacity.footprint import Footprint
from benchmarks.capacity.keys import Place
from benchmarks.capacity.load import Load, Usage

PAYMENTS: Final = 20_000
BALANCES: Final = 50_000
LISTS: Final = 1_000
AUDIT_ROWS: Final = 25_000
"""Per second; the Go example names the same rates, without a measurement, and for the platform as a
whole: its balances, too, have a partition key per account, which delivers 3,000 read units."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A rate per second, what the layout supports of it, and what limits it.

    `claimed` None: the rate is not claimed, only shown.
    """

    what: str
    claimed: float | None
    supported: float
    limited_by: str
    above_quota: tuple[Place, ...] = ()
    """Tables and indexes whose default quota must be raised for what is claimed."""

    @property
    def holds(self) -> bool:
        """Whether the layout supports what is claimed."""
        return self.claimed is None or self.supported >= self.claimed

    def over(self, usage: Usage, rate: float) -> Claim:
        """With the places whose units, at what is claimed, are above the default quota."""
        most = limits.TABLE_UNITS * rate / (self.claimed or rate)
        sums = (usage.written, usage.read)
        places = {place for by_place in sums for place in by_place if by_place[place] > most}
        return replace(self, above_quota=tuple(sorted(places, key=str)))


def claims_of(
    made: Assessment,
    as_prod: Assessment,
    loads: Mapping[str, Load],
    rates: Mapping[str, float],
    footprints: Mapping[str, Footprint],
) -> list[Claim]:
    """All claims. `loads` are those of single operations at `rates` per second.

    `made` is of the stage that is set for the rate, `as_prod` of one with the default settings.
    """
    layout = [each for each in made.findings if each.kind in LAYOUT]
    audit = [each for each in layout if each.name.startswith("audit_log")]
    requests, total = made.load.requests, made.load.total
    same_keys = findings_of_keys(total.under_keys_of(requests))
    audit_rows = total.records["audit_log"]
    balances, lists = loads["balance"].total, loads["list"].total

    def payments(what: str, findings: Iterable[Finding]) -> Claim:
        return _claim(f"payments, {what}", PAYMENTS, made.rate, findings)

    return [
        payments("requests alone", findings_of_keys(requests)).over(requests, made.rate),
        payments("and derived rows under the same keys", same_keys),
        payments("with all derived rows", layout).over(total, made.rate),
        payments("with all derived rows, a stage that is set for it", _as_set(made)),
        payments("with all derived rows, a stage as prod is in cdk.json", _as_set(as_prod)),
        _claim(
            "balances of many accounts", BALANCES, rates["balance"], findings_of_keys(balances)
        ).over(balances, rates["balance"]),
        _of_one("balances of one account", footprints["balance"]),
        _of_one("balances of one hot account", footprints["balance of a hot account"]),
        _claim("lists of payments", LISTS, rates["list"], findings_of_keys(lists)).over(
            lists, rates["list"]
        ),
        _claim("audit rows", AUDIT_ROWS, audit_rows, audit),
    ]


def _claim(what: str, claimed: float, rate: float, findings: Iterable[Finding]) -> Claim:
    """What is supported until the first limit is reached."""
    first = min(findings, key=lambda each: each.breaks_at(rate))
    return Claim(what, claimed, first.breaks_at(rate), first.name)


def _as_set(made: Assessment) -> list[Finding]:
    """What limits the stage, its settings included; quotas are raised."""
    return [each for each in made.findings if each.kind is not Kind.QUOTA]


def _of_one(what: str, footprint: Footprint) -> Claim:
    """As often as the partition key allows that one read uses most."""
    units: Counter[str] = Counter()
    for touch in footprint.touches:
        units[touch.key.template] += touch.read_units  # type: ignore[assignment]
    most = max(units.values())
    return Claim(what, None, limits.PARTITION_READ_UNITS / most, f"a key, {most:g} units a read")
