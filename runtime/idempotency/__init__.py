"""Idempotency: one effect and one answer per key."""
