"""The HTTP contract: request and answer shapes, and the table of routes (endpoints.py)."""
