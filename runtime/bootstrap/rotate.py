"""Behind the change of keys."""

from __future__ import annotations

import os
from functools import cache

from runtime.bootstrap.base import FunctionServices
from runtime.core.outside import Outside
from runtime.repositories.data_keys import DataKeyRepository
from runtime.repositories.sealed_rows import EncryptedRows
from runtime.services.key_rotation import RotationDependencies
from runtime.settings import RotationSettings


class RotationServices(FunctionServices):
    """Behind handlers/rotate.py."""

    def __init__(self, settings: RotationSettings, outside: Outside | None = None) -> None:
        super().__init__(
            settings,
            {
                "pii": settings.pii_key_arn,
                "pci": settings.pci_key_arn,
                "index": settings.index_key_arn,
            },
            outside,
        )
        margin = settings.stop_before_timeout_seconds
        self.deps = RotationDependencies(
            rows=EncryptedRows(self.store),
            keys=DataKeyRepository(self.store),
            ring=self.key_ring,
            encryption=self.encryption,
            outside=self.outside,
            operational_alerts=self.operational_alerts,
            must_stop=lambda: self.invocation.remaining_seconds() < margin,
        )


@cache
def rotation_services() -> RotationServices:
    """Built from the environment at the first event."""
    return RotationServices(RotationSettings.from_environment(os.environ))
