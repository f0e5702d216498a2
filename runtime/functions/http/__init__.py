"""The two HTTP functions' common part: from an event to a validated request, and back."""
