"""Resolve payments and operations with an unknown outcome, and expired authorizations."""
