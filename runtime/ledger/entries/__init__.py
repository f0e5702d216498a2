"""Entries: one line per change of an account, derived from the stream."""
