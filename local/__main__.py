"""`python -m local …`: the commands of the Makefile."""

import sys

from local.cli import main

sys.exit(main())
