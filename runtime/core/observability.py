"""Logging. Secrets are not logged: rows hide their secret fields from repr."""

from __future__ import annotations

import json
from typing import Any, Final

import orjson
from aws_lambda_powertools import Logger

VERSION_FIELD: Final = "function_version"
"""Field of each log line in Lambda: the function's version, by which failed answers are counted."""

_any_value: Final = json.JSONEncoder(default=str, separators=(",", ":"), ensure_ascii=False).encode


def json_line(fields: dict[str, Any]) -> str:
    """A log line. What orjson does not write, such as an integer beyond 64 bits, json does."""
    try:
        return orjson.dumps(fields, default=str, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        return _any_value(fields)


logger = Logger(
    json_serializer=json_line,
    json_deserializer=str,  # or it would try to parse each message as JSON
)
"""Structured log of the function; Powertools' variables set service and level.

Messages that are not parsed and a quick encoder take a third off the time of a line.
"""
