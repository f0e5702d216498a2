"""The events of a botocore client: handlers see each call before and after it is made."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

from botocore.hooks import HierarchicalEmitter

SERVICE: Final = "dynamodb"
Handler = Callable[..., Any]


class ClientEvents(HierarchicalEmitter):
    """botocore's own emitter, which knows whether anybody listens."""

    def __init__(self) -> None:
        super().__init__()
        self.used = False

    def register(self, event_name: str, *arguments: Any, **options: Any) -> None:
        """As botocore's."""
        self.used = True
        super().register(event_name, *arguments, **options)

    def register_first(self, event_name: str, *arguments: Any, **options: Any) -> None:
        """As botocore's."""
        self.used = True
        super().register_first(event_name, *arguments, **options)

    def register_last(self, event_name: str, *arguments: Any, **options: Any) -> None:
        """As botocore's."""
        self.used = True
        super().register_last(event_name, *arguments, **options)


class Sent(dict[str, Any]):
    """A request as it would travel; its body is rendered on first access."""

    def __init__(self, request: dict[str, Any]) -> None:
        super().__init__(url_path="/", method="POST")
        self._request = request

    def __missing__(self, name: str) -> Any:
        if name != "body":
            raise KeyError(name)
        self["body"] = json.dumps(self._request, default=_in_base64).encode()
        return self["body"]


def _in_base64(content: Any) -> str:
    return base64.b64encode(content).decode()
