"""`make cost`: what a stage costs in a month, from its templates and from counted uses."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from stacks.costs import guide
from stacks.costs.bill import bill_of, uncounted_schedules
from stacks.costs.prices import PRICES
from stacks.costs.report import (
    as_json,
    assumptions,
    charge_table,
    example_table,
    growth_table,
    idle_bill,
    part_table,
    sensitivity_table,
    service_table,
)
from stacks.costs.resources import StageResources, from_templates
from stacks.costs.uses import counted_uses
from stacks.costs.workload import Workload
from stacks.stage import PROD, StageError

ROOT: Final = Path(__file__).resolve().parents[2]
PAYMENTS: Final = 1_000_000.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.costs", description=__doc__)
    parser.add_argument("--stage", default=PROD, help="stage of cdk.json (default: %(default)s)")
    parser.add_argument("--templates", type=Path, help="a folder of templates, instead of a stage")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--update-guide", action="store_true", help="replace the tables in docs/costs.md"
    )
    for name, field in Workload.model_fields.items():
        default = PAYMENTS if name == "payments" else field.default
        shown = "follows from the rate" if default is None else f"{default:g}"
        parser.add_argument(
            f"--{name}", default=default, help=f"{field.description} (default: {shown})"
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 with one sentence for a wrong value, or a stage that cannot be synthesized."""
    options = vars(_parser().parse_args(arguments))
    stage, templates, shown = options["stage"], options["templates"], options["format"]
    try:
        workload = Workload(**{name: options[name] for name in Workload.model_fields})
        if options["update_guide"]:
            guide.update(ROOT / "docs", {name: _synthesized(name) for name in guide.STAGES})
            return 0
        resources = _synthesized(stage) if templates is None else from_templates(templates)
    except (StageError, ValidationError) as error:
        print(f"error: {_sentence(error)}", file=sys.stderr)  # noqa: T201 - for whoever called
        return 1
    print(_answer(workload, resources, stage, shown))  # noqa: T201 - the answer
    return 0


def _synthesized(stage: str) -> StageResources:
    # The CDK takes seconds to load, and a folder of templates does not need it.
    from stacks.costs.synthesis import synthesized  # noqa: PLC0415

    return synthesized(stage)


def _sentence(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(
            f"--{flaw['loc'][0]} {flaw['input']}: {flaw['msg']}" for flaw in error.errors()
        )
    return str(error)


def _answer(workload: Workload, resources: StageResources, stage: str, shown: str) -> str:
    uses, prices = counted_uses(), PRICES
    bill = bill_of(workload, resources, uses, prices)
    idle = idle_bill(resources, uses, prices, workload.merchants)
    uncounted = uncounted_schedules(resources, uses)
    if shown == "json":
        return json.dumps(as_json(bill, idle, stage, prices, uncounted), indent=2)
    newest = max(each.date for each in prices.prices.values())
    month = f"{workload.payments:,.0f} payments a month"
    tables = [part_table("parts", bill), charge_table("charges", bill, prices)]
    if workload.payments:
        tables.insert(0, service_table("services", {month: bill}, idle))
        tables += [
            sensitivity_table("sensitivity", bill, resources, uses, prices),
            example_table("example", workload, resources, uses, prices),
            growth_table("growth", workload, resources, uses, prices),
        ]
    notes = [f"Not counted: the runs of {name}" for name in uncounted]
    return "\n\n".join(
        [
            f"Stage {stage}, {month}, month {workload.months} of equal months. List prices of "
            f"{prices.region}, {newest:%Y-%m-%d}, without free tiers.",
            *(table.text() for table in tables),
            "\n".join(["Assumptions (each is an option):", *assumptions(workload)]),
            "\n".join([f"Uses were counted {uses.measured}.", *notes]),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
