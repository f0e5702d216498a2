"""Logging. Secrets are not logged: rows hide their secret fields from repr."""

from __future__ import annotations

import json
from typing import Final

from aws_lambda_powertools import Logger

VERSION_FIELD: Final = "function_version"
"""Field of each log line in Lambda: the function's version, by which failed answers are counted."""

logger = Logger(
    json_serializer=json.JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False).encode,
    json_deserializer=str,  # or it would try to parse each message as JSON
)
"""Structured log of the function; Powertools' variables set service and level.

An encoder built once and messages that are not parsed take a third off a line: 21
instead of 31 µs.
"""
