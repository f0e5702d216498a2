"""What an incremental run reads: rows that changed, as the audit archive names them."""
