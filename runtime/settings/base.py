"""The base of all settings, and their conversion to and from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel

_TABLE_SUFFIX = "_table"


class Settings(BaseModel, frozen=True, extra="forbid"):
    """Settings of every Lambda."""

    stage: str
    service: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings. Raises ValidationError with the missing or invalid names."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate(
            {names[key]: value for key, value in environment.items() if key in names}
        )

    def environment(self) -> dict[str, str]:
        """The environment variables for `from_environment`."""
        return {
            name.upper(): str(value) for name, value in self.model_dump(exclude_none=True).items()
        }

    def table_names(self) -> dict[str, str]:
        """Physical names by schema name, of the tables this Lambda may use."""
        return {
            name.removesuffix(_TABLE_SUFFIX): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith(_TABLE_SUFFIX)
        }
