"""The rules, pure: no AWS, no clock, no environment. Time and identity come in as arguments."""
