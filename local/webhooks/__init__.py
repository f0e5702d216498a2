"""Webhooks on this machine: receive and forward them, and make the events that they report."""
