"""Change streams → the audit log, with out-of-band changes detected."""
