"""Matching: which booked fact a settlement line is about, and what settling it posts."""
