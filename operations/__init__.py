"""Commands that operators run against a stage, local or in AWS. Not part of the Lambda asset."""
