"""What is outside: processors, KMS, S3."""
