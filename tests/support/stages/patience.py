"""How long tests wait for what happens by itself: far longer than it takes on a busy machine.

It ends a run where nothing happens any more. It is no expectation of how fast anything is.
"""

from typing import Final

PATIENCE_SECONDS: Final = 180.0
