"""The platform's own functions in one simulated world, with HTTP in front and partners behind."""
