"""What all errors that callers see have in common."""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar

from runtime.echo import safe


class PlatformError(Exception):
    """Base of the errors that callers see."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str, *, param: str | None = None) -> None:
        self.detail = safe(detail)
        super().__init__(self.detail)
        self.param = param
        self.transfer_id: str | None = None
        """The failed transfer in which this refusal is recorded."""

    def extensions(self) -> dict[str, str | bool]:
        """Members that this error adds to its problem document."""
        return {} if self.transfer_id is None else {"transfer_id": self.transfer_id}
