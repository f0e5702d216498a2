"""Captures and refunds missing from all settlement files after the deadline."""
