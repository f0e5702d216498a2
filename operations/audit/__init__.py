"""Verifies the whole audit log: chains, archive, entities."""
