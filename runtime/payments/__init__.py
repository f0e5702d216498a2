"""Payments: charge, authorize, capture, cancel, refund, and what processors report."""
