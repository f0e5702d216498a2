"""Reconciliation: compares processors' settlement files with the booked payments."""
