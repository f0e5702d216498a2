"""Totals per merchant, day, currency and status, kept by the change stream."""
