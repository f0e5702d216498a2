"""Composition: one module per function builds its services, once per execution environment.

A function imports only its own, so that it pays at its cold start for nothing else.
"""
