"""The only place that speaks DynamoDB."""
