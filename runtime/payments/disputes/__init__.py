"""Processor events: disputes, returned refunds, and events kept until they can be applied."""
