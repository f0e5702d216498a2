"""What `make cost` answers, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stacks.costs.bill import Bill, Charge, bill_of
from stacks.costs.comparison import sales_of, sensitivity
from stacks.costs.prices import PriceList
from stacks.costs.resources import StageResources
from stacks.costs.storage import stored_after
from stacks.costs.tables import TextTable, dollars, quantity, small
from stacks.costs.uses import Uses
from stacks.costs.workload import Workload

TOGETHER = "together"
PER_THOUSAND = "per 1,000 payments"
YEARS = (1, 2, 3, 5, 7)
ON_THE_PATH = ("process",)
WITH_DERIVED = ("process", "project", "archive")
IDLE_MONTHS = 1


def idle_bill(resources: StageResources, uses: Uses, prices: PriceList, merchants: int) -> Bill:
    """The bill of a stage with merchants and without payments."""
    nothing = Workload(payments=0.0, merchants=merchants, months=IDLE_MONTHS)
    return bill_of(nothing, resources, uses, prices)


def service_table(name: str, bills: Mapping[str, Bill], idle: Bill) -> TextTable:
    """Dollars by AWS service, of some bills (by their title) and of the idle stage."""
    everything = {**bills, "idle": idle}
    sums = {title: bill.by_service() for title, bill in everything.items()}
    last = list(bills.values())[-1].by_service()
    services = list(dict.fromkeys([*last, *(s for each in sums.values() for s in each)]))
    rows = [
        [service, *(dollars(each.get(service, 0.0)) for each in sums.values())]
        for service in services
    ]
    rows.append([TOGETHER, *(dollars(bill.dollars) for bill in everything.values())])
    per = [small(bill.per_thousand) for bill in bills.values()]
    rows.append([PER_THOUSAND, *per, "-"])
    return TextTable(name, ["$ a month", *everything], rows)


def part_table(name: str, bill: Bill) -> TextTable:
    """Dollars by what they are for, with how often it happens."""
    counts = bill.workload.operations()
    rows = []
    for part, amount in bill.by_part().items():
        count = counts.get(part)
        each = small(1_000 * amount / count) if count else "-"
        rows.append([part, quantity(count) if count else "-", dollars(amount), each])
    rows.append([TOGETHER, quantity(bill.workload.payments), dollars(bill.dollars), "-"])
    return TextTable(name, ["part of a month", "times", "$ a month", "$ per 1,000"], rows)


def charge_table(name: str, bill: Bill, prices: PriceList) -> TextTable:
    """Every price with its quantity, whatever it is for."""
    summed: dict[str, Charge] = {}
    for each in bill.charges:
        known = summed.get(each.price, Charge(each.price, "", 0.0))
        summed[each.price] = Charge(
            each.price, "", known.quantity + each.quantity, known.dollars + each.dollars
        )
    ordered = sorted(summed.values(), key=lambda each: -each.dollars)
    rows = [
        [
            f"{prices[each.price].service}: {prices[each.price].what}",
            quantity(each.quantity),
            dollars(each.dollars),
        ]
        for each in ordered
    ]
    return TextTable(name, ["what is billed", "quantity", "$ a month"], rows)


def sensitivity_table(
    name: str, bill: Bill, resources: StageResources, uses: Uses, prices: PriceList
) -> TextTable:
    """What changes the bill."""
    rows = [
        [change.what, f"{'+' if change.dollars > 0 else ''}{dollars(change.dollars)}"]
        for change in sensitivity(bill, resources, uses, prices)
    ]
    return TextTable(name, ["if", "$ a month more"], rows)


def example_table(
    name: str, workload: Workload, resources: StageResources, uses: Uses, prices: PriceList
) -> TextTable:
    """As many plain sales here and in the Go example's layout."""
    sale, example = uses.operations["sale"], uses.go_example_sale
    layouts = {
        "Go example": sales_of(example, ON_THE_PATH, workload, resources, prices),
        "this platform": sales_of(sale, WITH_DERIVED, workload, resources, prices),
    }
    columns = list(layouts.values())
    rows = [
        ["write units of a sale", *(f"{each.write_units:.1f}" for each in columns)],
        ["calls of DynamoDB", *(f"{each.calls:.1f}" for each in columns)],
        *(
            [what, *(dollars(each.dollars[what]) for each in columns)]
            for what in columns[-1].dollars
        ),
        [TOGETHER, *(dollars(each.total) for each in columns)],
    ]
    return TextTable(name, ["$ a month", *layouts], rows)


def growth_table(
    name: str, workload: Workload, resources: StageResources, uses: Uses, prices: PriceList
) -> TextTable:
    """What is stored at the end of each year, and the month's bill then."""
    rows = []
    for year in YEARS:
        then = workload.model_copy(update={"months": 12 * year})
        storage = stored_after(then, resources, uses, then.months)
        bill = bill_of(then, resources, uses, prices)
        rows.append(
            [
                str(year),
                quantity(storage.item_gigabytes),
                quantity(storage.entry_gigabytes),
                quantity(storage.archive_gigabytes),
                dollars(bill.of("stored data")),
                dollars(bill.dollars),
            ]
        )
    titles = [
        "year",
        "GB of items",
        "GB of index entries",
        "GB of archive",
        "$ for storage",
        "$ a month in all",
    ]
    return TextTable(name, titles, rows)


def price_table(name: str, prices: PriceList) -> TextTable:
    """Every price with its date and source."""
    rows = [
        [
            f"{each.service}: {each.what}",
            f"{each.each:.10f}".rstrip("0").rstrip("."),
            f"{each.date:%Y-%m-%d}",
            each.source if each.compared else f"{each.source} (not compared)",
        ]
        for each in prices.prices.values()
    ]
    return TextTable(name, [f"price in {prices.region}", "$", "date", "source"], rows)


def assumptions(workload: Workload) -> Iterator[str]:
    """Each setting of the workload, its value and its meaning."""
    for name, field in Workload.model_fields.items():
        value = getattr(workload, name)
        shown = "from the rate" if value is None else f"{value:,g}"
        meaning = (field.description or "").replace("\n", " ")
        yield f"  --{name} {shown}: {meaning}"


def as_json(
    bill: Bill,
    idle: Bill,
    stage: str,
    prices: PriceList,
    uncounted: Sequence[str],
) -> dict[str, Any]:
    """The answer for programs."""
    return {
        "stage": stage,
        "region": prices.region,
        "workload": bill.workload.model_dump(),
        "dollars_per_month": bill.dollars,
        "dollars_per_1000_payments": bill.per_thousand if bill.workload.payments else None,
        "idle_dollars_per_month": idle.dollars,
        "by_service": bill.by_service(),
        "idle_by_service": idle.by_service(),
        "by_part": bill.by_part(),
        "charges": [
            {
                "price": each.price,
                "part": each.part,
                "quantity": each.quantity,
                "dollars": each.dollars,
            }
            for each in bill.charges
        ],
        "schedules_not_counted": list(uncounted),
    }
