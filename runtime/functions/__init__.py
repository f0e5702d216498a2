"""Lambda functions: each module is what one function is built from, and its handler."""
