"""Settlement files: uploaded, planned in chunks, worked and closed."""
