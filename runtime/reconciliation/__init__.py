"""Reconciliation: processors' settlement files against what is booked of payments."""
