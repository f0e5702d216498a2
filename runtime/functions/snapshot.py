"""SnapStart: what is prepared before Lambda takes a snapshot, and renewed after each restore.

Many environments continue from one snapshot, hours or weeks later, so it must contain nothing that
differs between environments or ages: no credentials, keys, connections or cached rows. All of them
belong to a function's services, which are built at its first request, hence after the restore. What
remains is pseudorandom state, which `renew` reseeds.
"""

from __future__ import annotations

import importlib
import random
import ssl
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel

from runtime.functions.composition.real_outside import real_outside

_LOADED_EARLY: Final = (
    "botocore.session",
    "runtime.functions.composition.api_key_authorizer",
)
"""Modules of first requests: with SnapStart, credentials come from botocore's providers."""
_ENTROPY_BYTES: Final = 32


def register_hooks() -> None:
    """Have Lambda call `prepare` and `renew`. Its own library is part of its Python runtimes."""
    hooks = importlib.import_module("snapshot_restore_py")
    hooks.register_before_snapshot(prepare)
    hooks.register_after_restore(renew)


def prepare() -> None:
    """Load what first requests use, and build the validators of all loaded models.

    A request after the restore then does neither; both take a tenth of a second together.
    """
    for name in _LOADED_EARLY:
        importlib.import_module(name)
    for shape in _below(BaseModel):
        if shape.__module__.startswith("runtime."):
            shape.model_rebuild()


def renew() -> None:
    """Reseed pseudorandom state, which all environments of the snapshot have in common.

    Ids, nonces and secrets need no renewal: they come from the operating system, which Lambda
    reseeds. Jitter and sampling are not secret, but environments that wait equally long collide.
    """
    outside = real_outside()
    outside.chance.seed(outside.entropy(_ENTROPY_BYTES))
    random.seed(outside.entropy(_ENTROPY_BYTES))
    ssl.RAND_add(outside.entropy(_ENTROPY_BYTES), float(_ENTROPY_BYTES))


def _below(shape: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in shape.__subclasses__():
        yield each
        yield from _below(each)
