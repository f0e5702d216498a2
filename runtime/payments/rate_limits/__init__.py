"""Limits of payments per minute and day, per merchant."""
