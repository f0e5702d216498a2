"""Accounts: opened, changed, listed, with balances now and at a moment."""
