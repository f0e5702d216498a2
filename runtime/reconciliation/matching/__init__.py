"""Matching: finds the booked fact of a settlement line, and what settling it posts."""
