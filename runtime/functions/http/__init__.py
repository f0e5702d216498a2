"""Shared by the two HTTP functions: from an event to a validated request, and back."""
