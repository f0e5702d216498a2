"""Merchants: profiles, limits, webhook secrets and processor accounts."""
