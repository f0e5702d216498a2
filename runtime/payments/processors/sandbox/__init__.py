"""The sandbox processor: the token determines the outcome."""
