"""`make demo`: the whole system in one story, each step checked."""
