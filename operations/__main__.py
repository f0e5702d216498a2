"""`python -m operations …`: the commands of the Makefile."""

import sys

from operations.cli import main

sys.exit(main())
