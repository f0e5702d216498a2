"""What runs in Lambda. Imports neither aws_cdk nor stacks."""
