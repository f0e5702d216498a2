"""`make cost-uses`: count what operations and scheduled runs use, for `make cost`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final, get_args

from benchmarks.bill.canary_run import counted_canary
from benchmarks.bill.counting import (
    WEBHOOK,
    Sample,
    counted_operations,
    counted_runs,
    webhook_alone,
)
from benchmarks.bill.go_example import counted_go_sale
from benchmarks.bill.shop import Shop
from benchmarks.bill.verification_bill import Amounts, RunCost, counted_verifications
from benchmarks.figures import measured_today
from benchmarks.requests.client_cpu import client_cpu_seconds
from benchmarks.setting import FULL
from local.progress import Progress
from runtime.core.fields import ProcessorMode
from runtime.verification.rules import RunKind
from stacks.costs.uses import USES_FILE, Use, Uses, Verification

DIGITS: Final = 6
VERIFIED_SALES: Final = 25


def main() -> int:
    """Count, and write the file."""
    progress = Progress()
    with progress.step("Count what operations and scheduled runs use"):
        client_cpu = client_cpu_seconds(FULL.client_calls, lean=Shop().stage.has_lean_client)
        uses = counted_uses_of(client_cpu, measured_today())
    USES_FILE.write_text(uses.model_dump_json(indent=1, exclude_defaults=True) + "\n", "utf-8")
    progress.say(f"Written: {USES_FILE}")
    return 0


def counted_uses_of(client_cpu: float, measured: str) -> Uses:
    """Everything that the file holds. `client_cpu`: seconds of one call to DynamoDB."""
    tables: dict[str, set[str]] = {}
    operations = counted_operations(client_cpu, Sample(), tables)
    operations[WEBHOOK] = webhook_alone(operations[WEBHOOK], operations["sale"])
    runs = counted_runs(client_cpu, tables)
    verifications = counted_verifications(VERIFIED_SALES, client_cpu)
    return rounded(
        Uses(
            measured=measured,
            operations=operations,
            runs=runs,
            canary={mode: counted_canary(mode, client_cpu) for mode in get_args(ProcessorMode)},
            full_verification=_verification(verifications[RunKind.FULL]),
            incremental_verification=_verification(verifications[RunKind.INCREMENTAL]),
            tables={name: tuple(sorted(used)) for name, used in sorted(tables.items())},
            go_example_sale=counted_go_sale(),
        )
    )


def rounded(uses: Uses) -> Uses:
    """With as many digits as mean something."""
    return Uses.model_validate(_rounded(uses.model_dump()))


def rounded_use(use: Use) -> Use:
    """One use, with the digits that the file has."""
    return Use.model_validate(_rounded(use.model_dump()))


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def _verification(cost: RunCost) -> Verification:
    return Verification(fixed=_use(cost.fixed), sale=_use(cost.per_sale))


def _use(amounts: Amounts) -> Use:
    return Use(
        read_units=amounts.read_units,
        write_units=amounts.write_units,
        s3_gets=amounts.objects,
        cpu_seconds=amounts.cpu_seconds,
        # Calls of its threads overlap with each other, and with the work of its one CPU.
        waited_seconds=max(amounts.waited_seconds - amounts.cpu_seconds, 0.0),
    )


if __name__ == "__main__":
    sys.exit(main())
