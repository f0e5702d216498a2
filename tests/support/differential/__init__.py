"""The in-memory engine compared with AWS's own: the same random requests, all answers compared."""
