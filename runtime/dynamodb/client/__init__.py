"""A lean DynamoDB client: what the store calls, at a fifth of botocore's CPU (decision 0075)."""
