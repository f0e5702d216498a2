"""Change streams: records, row images, dead letters."""
