"""Alerts: raised once per window, listed, announced."""
