"""Ledger verification: checks balances, transfers, payments and settlements against each other."""
