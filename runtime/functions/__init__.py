"""Lambda functions: each module composes one function's dependencies and defines its handler."""
