"""The platform compared with other ways to do the same."""
