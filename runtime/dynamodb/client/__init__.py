"""A lean DynamoDB client: what the store calls, at an eighth of botocore's CPU (decision 0075)."""
