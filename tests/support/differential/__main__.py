"""`make differential`: any number of requests."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.support.differential.run import compared
from tests.support.engines import dynamodb_local


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr)


def main() -> int:
    """The exit status of the process."""
    parser = argparse.ArgumentParser(prog="make differential", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", default=str(SystemRandom().randrange(10**9)))
    wanted = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as scratch,
        dynamodb_local.running(Path(scratch) / "log") as endpoint_url,
    ):
        report = compared(endpoint_url, wanted.seed, wanted.requests, tell=_tell)
    print(report.reported())
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
