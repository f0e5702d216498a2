"""Key rotation: rows encrypted again under new data keys, blind indexes rebuilt."""
