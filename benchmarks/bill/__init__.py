"""Units, calls and dollars of an operation."""
