"""The parts of AWS that the platform uses, in memory, behind clients that are as unreliable."""
