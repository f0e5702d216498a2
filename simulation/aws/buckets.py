"""Buckets of S3, and the versions of the objects in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object, or (`body` None) a marker of its deletion."""

    id: str
    body: bytes | None
    etag: str
    content_type: str
    at: datetime


@dataclass
class Bucket:
    """One bucket. `locked`: no version of an object can be deleted before its retention ends."""

    name: str
    locked: bool = False
    objects: dict[str, list[Version]] = field(default_factory=dict)
    """Versions by key, the newest last."""

    def current(self, key: str) -> Version | None:
        """What is seen under a key."""
        versions = self.objects.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None
