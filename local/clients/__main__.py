"""`python -m local.clients`: build the clients and print where the artifacts are."""

import sys

from local.clients.build import build
from local.errors import LocalError
from local.progress import Progress
from local.workspace import Workspace


def main() -> int:
    """A failure is one message and exit code 1."""
    progress = Progress()
    try:
        built = build(Workspace.find(), progress)
    except LocalError as error:
        progress.failed(error)
        return 1
    print(built.wheel, built.tarball, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
