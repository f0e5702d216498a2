"""Transactions as they are looked up, with the settlement lines about each."""
