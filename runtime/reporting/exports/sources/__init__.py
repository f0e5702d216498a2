"""What exports are read from, one source per kind and format."""
