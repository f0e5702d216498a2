"""Verifies what is held of each account against its open holds."""
