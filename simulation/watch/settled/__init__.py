"""Checks of a platform at rest: everything is answered, delivered and derived, and agrees."""
