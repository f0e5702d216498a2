"""Settlement files: uploaded, planned in chunks, processed and closed."""
