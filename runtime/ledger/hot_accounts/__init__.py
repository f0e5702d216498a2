"""Hot accounts: balance shards, guarded debits and consolidation."""
