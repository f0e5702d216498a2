"""DynamoDB: schema, codec, expressions, the store."""
