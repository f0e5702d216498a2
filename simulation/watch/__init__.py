"""What is watched: invariants after every commit, and histories judged from outside."""
