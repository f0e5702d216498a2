"""Permissions: which function may do what, as tables, statements and resource policies."""
