"""Webhooks: events that merchants receive, delivered and retried until accepted."""
