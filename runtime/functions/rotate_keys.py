"""The schedule of the keys: encipher again what old keys enciphered; the next event goes on.

An operator's own event may ask for more: `{"again": true}` begins a sweep now,
`{"new_index_key": true}` makes a successor of the key of e-mail indexes.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.core.observability import logger
from runtime.core.outside import Outside
from runtime.encryption.repository import DataKeyRepository
from runtime.functions.composition.environments import Event, per_environment
from runtime.functions.composition.services import FunctionServices
from runtime.key_rotation.encrypted_rows import EncryptedRows
from runtime.key_rotation.rotation import RotationDependencies, new_index_key, sweep
from runtime.settings import RotationSettings


class RotationServices(FunctionServices):
    """Behind functions/rotate_keys.py."""

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


def rotate(event: Event, context: LambdaContext, services: RotationServices) -> dict[str, Any]:
    """One invocation's share of a sweep, and how far it has come."""
    if event.get("new_index_key"):
        answer: dict[str, Any] = {"written_by_from": new_index_key(services.deps)}
    else:
        again = bool(event.get("again"))
        answer = sweep(services.deps, context.aws_request_id, again=again).answer()
    logger.info("keys", **answer)
    return answer


handler_for = per_environment(rotate)
handler = handler_for(rotation_services)
