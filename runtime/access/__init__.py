"""Access: bearer tokens and API keys."""
