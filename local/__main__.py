"""`python -m local …`: what the Makefile calls."""

import sys

from local.cli import main

sys.exit(main())
