"""Customers: profiles, payment methods, lockout, erasure."""
