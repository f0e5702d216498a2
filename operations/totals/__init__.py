"""Compares totals with payments, and repairs them."""
