"""The story of one request or payment, from rows and log lines of all functions."""
