"""Finishing payments and operations whose outcome is unknown or whose time is over."""
