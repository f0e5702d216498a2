"""Change streams to the audit log, with out-of-band changes detected."""
