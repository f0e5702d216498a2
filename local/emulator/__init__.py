"""The embedded AWS: its process, the CDK app deployed into it, and its tools."""
