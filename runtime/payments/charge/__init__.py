"""Charging a payment method, and applying the processor's answer."""
