"""`python -m local.clients`: build the clients and print where the artifacts are."""

import argparse
import subprocess
import sys

from local.clients.build import Clients, build
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace


def main() -> int:
    """A failure is one message and exit code 1."""
    parser = argparse.ArgumentParser(prog="make clients", description=__doc__)
    parser.add_argument("--test", action="store_true", help="also run the TypeScript tests")
    options = parser.parse_args()
    progress = Progress()
    try:
        built = build(Workspace.find(), progress)
    except LocalError as error:
        progress.failed(error)
        return 1
    print(built.wheel, built.tarball, sep="\n")
    return _tests(built) if options.test else 0


def _tests(built: Clients) -> int:
    tests = sorted(str(each) for each in (built.node_package / "dist" / "tests").glob("*.test.js"))
    return subprocess.run(["node", "--test", *tests], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
