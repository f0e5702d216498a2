"""Reporting: totals per day, summaries of payments, exports."""
