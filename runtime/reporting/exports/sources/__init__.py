"""The sources of exports, one per kind and format."""
