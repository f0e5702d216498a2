"""Entries: one per change of an account, derived from the change stream."""
