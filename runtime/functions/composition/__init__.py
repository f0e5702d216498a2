"""Composition of the functions: AWS clients and the services they share."""
