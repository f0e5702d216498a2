"""The use-cases: one function each, its dependencies passed in."""
