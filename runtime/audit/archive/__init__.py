"""The audit archive: locked segments and signed Merkle roots."""
