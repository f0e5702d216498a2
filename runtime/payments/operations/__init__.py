"""Captures, cancellations and refunds of a payment."""
