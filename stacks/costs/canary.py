"""What the canary adds to a stage's bill: requests, rows, and metrics that nothing else keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stacks.costs.resources import StageResources
from stacks.costs.uses import CanaryRun, Use, Uses

CANARY: Final = "canary"
"""Its schedule, its function, and its part of a bill."""
METRICS: Final = 2
"""Of its log lines, while it succeeds: CanarySucceeded and CanaryMilliseconds."""
SECRETS: Final = 1
"""Its API key, which `make canary-merchant` stores, and no template has."""


def canary_run(resources: StageResources, uses: Uses) -> CanaryRun | None:
    """A run of this stage's canary: with live payments it only reads. None if there is no canary.

    Raises KeyError for a stage whose templates have the schedule and not the function.
    """
    if CANARY not in resources.runs:
        return None
    return uses.canary[resources.functions[CANARY].environment["PROCESSORS"]]


def canary_uses(resources: StageResources, uses: Uses) -> Iterator[tuple[str, Use]]:
    """What all runs of a month use, by function: itself, and those that answer it.

    Each run counts as derived by itself, which is the most that it can be.
    """
    run = canary_run(resources, uses)
    if run is not None:
        for function, use in run.alone.items():
            yield function, use.times(resources.runs[CANARY])
