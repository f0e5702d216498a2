"""`make demo`: the whole system step by step, each step checked."""
