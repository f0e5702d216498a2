"""DynamoDB's expressions, as far as the runtime builds them: each is read once, then a closure."""
