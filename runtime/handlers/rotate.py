"""The schedule of the keys: encipher again what old keys enciphered; the next event goes on.

An operator's own event may ask for more: `{"again": true}` begins a sweep now,
`{"new_index_key": true}` makes a successor of the key of e-mail indexes.
"""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from runtime.bootstrap.rotate import RotationServices, rotation_services
from runtime.handlers.environments import Event, per_environment
from runtime.observability import logger
from runtime.services.key_rotation import new_index_key, sweep


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
