"""Ledger verification: every balance, transfer, payment and settlement against the others."""
