"""How far a run is: whether things go wrong at present, and whether it comes to rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

IN_FLIGHT_SECONDS: Final = 60.0
"""After faults have ended: for so long calls may still be stuck, late or slow."""


class Phase(Enum):
    """What may go wrong at present."""

    FAULTS = "faults"
    CALM = "calm"
    """Faults have ended, or were never on."""
    TAMPERED = "tampered"
    """The ledger was edited by hand, and the edit must be detected."""


@dataclass(eq=False)
class RunState:
    """What changes while a world is played. `now`: virtual seconds."""

    now: Callable[[], float]
    calm_since: float | None = -math.inf
    """When faults ended, in virtual seconds; None while things go wrong."""
    is_settling: bool = False
    """Whether the world is brought to rest: in a pause, or at the end."""
    is_over: bool = False
    """Whether clients have ended for good."""
    is_tampered: bool = False

    @property
    def is_calm(self) -> bool:
        """Whether nothing goes wrong with what begins now."""
        return self.calm_since is not None

    @property
    def phase(self) -> Phase:
        """What explains an error that is logged now."""
        if self.is_tampered:
            return Phase.TAMPERED
        since = self.calm_since
        calm = since is not None and self.now() >= since + IN_FLIGHT_SECONDS
        return Phase.CALM if calm else Phase.FAULTS
