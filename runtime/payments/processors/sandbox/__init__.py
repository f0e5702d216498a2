"""The sandbox processor: deterministic by token, with a memory of its own."""
