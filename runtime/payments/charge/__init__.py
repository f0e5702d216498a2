"""Charging a payment method, and what the processor's answer makes of the payment."""
