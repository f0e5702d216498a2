"""Compares the held amounts of each account with its open holds."""
