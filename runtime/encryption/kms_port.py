"""KMS as field encryption uses it: botocore's names, requests, answers and errors.

botocore's client, the lean client and the simulation's client all satisfy it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Operation = Callable[..., Mapping[str, Any]]
"""One operation: keyword arguments are the members of its request.

Raises ClientError for an error that KMS answers, another BotoCoreError if no usable answer arrives.
"""


class DataKeyKms(Protocol):
    """The operations for data keys."""

    @property
    def decrypt(self) -> Operation: ...  # noqa: D102
    @property
    def generate_data_key(self) -> Operation: ...  # noqa: D102
