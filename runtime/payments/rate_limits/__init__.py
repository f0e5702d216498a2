"""Each merchant's limits of payments per minute and day."""
