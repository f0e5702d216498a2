"""Compares each payment's postings, totals and ceilings with its transactions."""
