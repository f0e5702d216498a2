"""A stack for tests in which only some of its values matter."""

from __future__ import annotations

from typing import Any

from local.stackfile import Stack


def any_stack(**values: Any) -> Stack:
    """A stack without resources, at an address where nothing listens, except for `values`."""
    return Stack.model_validate(
        {
            "api_url": "http://127.0.0.1:1",
            "aws_endpoint_url": "http://127.0.0.1:1",
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "buckets": {},
            "tables": {},
            "functions": {},
            "schedules": {},
        }
        | values
    )
