"""Stripe behind the processor port."""
