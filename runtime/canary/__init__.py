"""The canary: a client of the deployed API that pays, refunds and reads on a schedule."""
