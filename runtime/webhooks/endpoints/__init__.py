"""Webhook endpoints of merchants: create, change, test, recover."""
