"""Deployments while requests run: new environments have other settings, old ones serve on."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulation.platform.world import Platform

LEAST_SECONDS, MOST_SECONDS = 150.0, 900.0
"""Between two deployments."""
CACHE_SECONDS: Final = (0, 5, 60)


@dataclass
class Deployer:
    """Deploys every now and then."""

    platform: Platform
    dice: Random

    def work(self) -> None:
        """Until the run is over; not while the world is brought to rest."""
        platform = self.platform
        while not platform.state.is_over:
            platform.sleep(self.dice.uniform(LEAST_SECONDS, MOST_SECONDS))
            if not platform.state.is_settling:
                self.deploy()

    def deploy(self) -> None:
        """One deployment: it takes hold as environments are replaced."""
        functions = self.platform.functions
        seconds = self.dice.choice(CACHE_SECONDS)
        functions.deploy(functions.stage.next(merchant_cache_seconds=seconds))
