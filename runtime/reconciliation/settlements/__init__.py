"""Settlements and their lines: the content of each payout."""
