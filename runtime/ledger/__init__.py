"""The double-entry ledger: accounts, transfers, holds, entries and hot accounts."""
