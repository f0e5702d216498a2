"""Alerts: raised once per window, listed and announced."""
