"""Transaction look-ups, with the settlement lines of each."""
