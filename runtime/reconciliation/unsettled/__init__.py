"""Captures and refunds that no settlement file has named in time."""
