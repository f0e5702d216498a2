"""Verifies the postings of settlements against the lines that name them."""
