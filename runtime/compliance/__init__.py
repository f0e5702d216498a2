"""Compliance rules: large transactions, velocity and lockouts raise alerts."""
