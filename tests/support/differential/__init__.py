"""The engine in memory beside AWS's own: the same random requests to both, all answers compared."""
