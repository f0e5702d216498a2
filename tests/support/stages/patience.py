"""How long tests wait for asynchronous results: far longer than they take on a busy machine.

It ends a run in which nothing happens any more. It does not say how fast anything should be.
"""

from typing import Final

PATIENCE_SECONDS: Final = 180.0
