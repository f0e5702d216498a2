"""`python -m operations …`: what the Makefile calls."""

import sys

from operations.cli import main

sys.exit(main())
