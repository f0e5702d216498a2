"""What would keep a stage from being deployed, or from working, found out before deploying it."""
