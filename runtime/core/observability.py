"""Logs and metrics. What is secret never gets here: rows hide their secret fields from repr."""

from __future__ import annotations

from aws_lambda_powertools import Logger

logger = Logger()
"""Structured log of the running function; service and level come from Powertools' variables."""
