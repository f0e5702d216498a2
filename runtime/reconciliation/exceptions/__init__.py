"""Exceptions: settlement lines that a person decides about."""
