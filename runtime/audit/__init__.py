"""The audit log: every version of every financial row, hash-chained and archived."""
