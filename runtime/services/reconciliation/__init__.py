"""Reconciliation: files of processors against what is booked of payments."""
