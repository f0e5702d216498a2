"""The platform as AWS CDK stacks: data (stateful), api and workers (stateless)."""
