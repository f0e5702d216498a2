"""What every function has, and how an environment becomes settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel

_TABLE_SUFFIX = "_table"


class Settings(BaseModel, frozen=True, extra="forbid"):
    """What every Lambda has."""

    stage: str
    service: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings back. Raises ValidationError naming what is missing or wrong."""
        names = {name.upper(): name for name in cls.model_fields}
        return cls.model_validate(
            {names[key]: value for key, value in environment.items() if key in names}
        )

    def environment(self) -> dict[str, str]:
        """The variables from which `from_environment` makes an equal model."""
        return {
            name.upper(): str(value) for name, value in self.model_dump(exclude_none=True).items()
        }

    def table_names(self) -> dict[str, str]:
        """Physical name by schema name, of the tables this Lambda may use."""
        return {
            name.removesuffix(_TABLE_SUFFIX): getattr(self, name)
            for name in type(self).model_fields
            if name.endswith(_TABLE_SUFFIX)
        }
