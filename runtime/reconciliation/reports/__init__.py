"""The report of a settlement: a printable page, and its lines as CSV."""
