"""Scheduled function: re-encrypts fields under current keys; the next event continues.

An operator may invoke it with `{"again": true}` to start a sweep now, or with
`{"new_index_key": true}` to create a new key for e-mail indexes.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.encryption.repository import DataKeyRepository
from runtime.functions.composition.environments import Event, per_environment, recorded
from runtime.functions.composition.services import FunctionServices
from runtime.key_rotation.encrypted_rows import EncryptedRows
from runtime.key_rotation.rotation import RotationDependencies, new_index_key, sweep
from runtime.settings import RotationSettings


class RotationServices(FunctionServices):
    """Dependencies of functions/rotate_keys.py."""

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
        self.deps = RotationDependencies(
            rows=EncryptedRows(self.store),
            keys=DataKeyRepository(self.store),
            ring=self.key_ring,
            encryption=self.encryption,
            outside=self.outside,
            operational_alerts=self.operational_alerts,
            must_stop=self.stop_before_timeout(settings.stop_before_timeout_seconds),
        )


@cache
def rotation_services() -> RotationServices:
    """Build the services from the environment, once."""
    return RotationServices(RotationSettings.from_environment(os.environ))


def rotate(event: Event, context: LambdaContext, services: RotationServices) -> dict[str, Any]:
    """Continue the sweep, and report its progress."""
    if event.get("new_index_key"):
        answer: dict[str, Any] = {"written_by_from": new_index_key(services.deps)}
    else:
        again = bool(event.get("again"))
        answer = sweep(services.deps, services.run_id, again=again).answer()
    logger.info("keys rotated", **answer)
    return answer


handler_for = per_environment(recorded(rotate))
handler = handler_for(rotation_services)
