"""The caller, as verified by the authorizer, and the merchants it may act for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from runtime.core.change_context import ChangeContext
from runtime.core.echo import echoed
from runtime.core.errors import Forbidden, InvalidValue, NotFound
from runtime.core.fields import PLATFORM
from runtime.core.scope import Scope
from runtime.http.endpoint import Permission

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Caller:
    """A token's claims. `merchant_id` is None for platform operators."""

    subject: str
    merchant_id: str | None
    permissions: frozenset[str]
    request_id: str
    ip_address: str = ""
    user_agent: str = ""

    @property
    def is_operator(self) -> bool:
        """Whether the token has every permission for every merchant."""
        return Permission.ADMIN in self.permissions and self.merchant_id is None

    def require(self, permission: Permission) -> None:
        """Raises Forbidden unless the token has `permission`, or `admin` without a merchant."""
        if self.is_operator:
            return
        if permission is Permission.ADMIN or permission not in self.permissions:
            raise Forbidden(f"This token lacks the permission {permission!s}")

    def merchant(self, acting_for: str | None) -> str:
        """The merchant this call is about.

        Raises Forbidden, or InvalidValue for an operator who names none.
        """
        merchant_id = self.owner(acting_for)
        if merchant_id == PLATFORM:
            raise InvalidValue(
                "merchant_id is required: operators must name the merchant to act for",
                param="merchant_id",
            )
        return merchant_id

    def owner(self, acting_for: str | None) -> str:
        """The merchant this call is about, or `platform` for an operator who names none."""
        if self.is_operator:
            return acting_for or PLATFORM
        if acting_for is not None:
            raise Forbidden(
                "Only operators may send merchant_id; your token already names your merchant"
            )
        if self.merchant_id is None:
            raise Forbidden("This token belongs to neither a merchant nor an operator")
        return self.merchant_id

    def scope(self, acting_for: str | None) -> Scope:
        """What this caller can see; an operator acting for a merchant sees only that merchant's."""
        if self.is_operator:
            return Scope(acting_for)
        return Scope(self.owner(acting_for))

    def change(self, cause: str) -> ChangeContext:
        """The stamp of a change that this caller makes because of `cause`."""
        return ChangeContext(
            changed_by=self.subject,
            request_id=self.request_id,
            cause=cause,
            ip_address=self.ip_address,
            user_agent=self.user_agent,
        )


def require_found(row: RowT | None, kind: str, identifier: str) -> RowT:
    """`row`, if it is in the reader's scope. Raises NotFound, also for another owner's."""
    if row is None:
        raise NotFound(f"No such {kind}: {echoed(identifier)}")
    return row
