"""What every capability builds on, and what itself builds on nothing of ours."""
