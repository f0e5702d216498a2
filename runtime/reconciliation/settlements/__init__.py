"""Settlements and their lines: what each payout came to."""
