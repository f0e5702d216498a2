"""The base of mutable rows."""

from collections.abc import Mapping
from typing import Any, Self

from runtime.core.change_context import ChangeContext
from runtime.core.fields import PLATFORM, Timestamp
from runtime.dynamodb.schema import Row


class Record(Row, frozen=True):
    """A mutable row: version, timestamps, owner, and who changed it last, from where and why.

    The audit log is built from these fields in the change stream; a change that does not increment
    `version` and set a new `cause` was made outside the application.
    """

    version: int = 1
    created_at: Timestamp
    updated_at: Timestamp
    merchant_id: str = PLATFORM
    changed_by: str
    request_id: str
    ip_address: str = ""
    user_agent: str = ""
    cause: str

    def next_version(
        self, at: Timestamp, changes: Mapping[str, Any], context: ChangeContext | None = None
    ) -> Self:
        """This row with `changes` and the next version, updated at `at` and stamped by `context`.

        `changes` take precedence over the context, such as for a different `cause`.
        """
        stamp: Mapping[str, Any] = {} if context is None else context.stamp()
        version = {"version": self.version + 1, "updated_at": at}
        return self.model_copy(update={**stamp, **changes, **version})
