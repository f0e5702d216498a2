"""Logging. Secrets are not logged: rows hide their secret fields from repr."""

from __future__ import annotations

from aws_lambda_powertools import Logger

logger = Logger()
"""Structured log of the function; Powertools' variables set service and level."""
