"""What operations and scheduled runs use, as it was counted on the code: uses.json.

`make bench ARGS=uses` counts it on the real functions and writes the file. Calls, units and bytes
follow from the code alone, and a test counts them again. CPU seconds are of the machine that the
file names; a quarter of an hour's work on Lambda differs, but Lambda's time is a small part of any
bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from stacks.costs.prices import VCPU_MEGABYTES

USES_FILE: Final = Path(__file__).with_name("uses.json")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(_Frozen):
    """What one function uses, on average for one operation or one run.

    `requests`: to API Gateway. `calls`: of DynamoDB. `log_bytes`: its own lines. `waited_seconds`:
    for calls to AWS and endpoints. `cpu_seconds`: on a whole core.
    """

    invocations: float = 0.0
    requests: float = 0.0
    calls: float = 0.0
    write_units: float = 0.0
    read_units: float = 0.0
    sqs: float = 0.0
    s3_puts: float = 0.0
    s3_gets: float = 0.0
    kms: float = 0.0
    signatures: float = 0.0
    secrets: float = 0.0
    log_bytes: float = 0.0
    waited_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def plus(self, other: Use, times: float = 1.0) -> Use:
        """These and `times` the others."""
        return Use(**{name: value + times * getattr(other, name) for name, value in self})

    def times(self, factor: float) -> Use:
        """So many of them."""
        return Use(**{name: value * factor for name, value in self})

    def seconds(self, memory_megabytes: int) -> float:
        """Billed seconds of a function with so much memory: less than a core's takes longer."""
        slower = max(VCPU_MEGABYTES / memory_megabytes, 1.0)
        return self.waited_seconds + self.cpu_seconds * slower


class Stored(_Frozen):
    """What one operation leaves in a table: bytes of its items and of their index entries.

    Both include DynamoDB's overhead of 100 bytes for each item and entry. `days` is how long they
    stay; None: until they are deleted.
    """

    table: str
    item_bytes: float
    entry_bytes: float
    days: float | None = None


class Operation(_Frozen):
    """One operation by function: derived by itself (`alone`), or in full batches (`together`)."""

    alone: Mapping[str, Use]
    together: Mapping[str, Use]
    stored: tuple[Stored, ...] = ()
    archived_bytes: float = 0.0

    def use(self, function: str, together_share: float) -> Use:
        """What the function uses if this share of the operations is derived in full batches."""
        nothing = Use()
        alone = self.alone.get(function, nothing).times(1.0 - together_share)
        return alone.plus(self.together.get(function, nothing), together_share)


class CanaryRun(Operation):
    """A run of the canary: its own use, that of the functions that answer it, and what it leaves.

    `routes`: those that it calls. It is counted by itself only.
    """

    together: Mapping[str, Use] = {}
    routes: tuple[str, ...]


class Run(_Frozen):
    """A run of a schedule on a stage where nothing is due, and what each merchant adds to it."""

    fixed: Use
    merchant: Use


class Verification(_Frozen):
    """A run of the ledger verification in itself, and what each sale adds to it."""

    fixed: Use
    sale: Use


class Uses(_Frozen):
    """The whole file.

    `canary`: by the stage's mode, `test` or `live`. `tables`: those that a function uses.
    """

    measured: str
    operations: Mapping[str, Operation]
    runs: Mapping[str, Run]
    canary: Mapping[str, CanaryRun]
    full_verification: Verification
    incremental_verification: Verification
    tables: Mapping[str, tuple[str, ...]]
    go_example_sale: Operation


@cache
def counted_uses() -> Uses:
    """The file's content."""
    return Uses.model_validate_json(USES_FILE.read_text("utf-8"))
