"""Exceptions: settlement lines that need a decision."""
