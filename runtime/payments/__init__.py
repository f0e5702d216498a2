"""Payments: charge, authorize, capture, cancel, refund, disputes, and processor events."""
